// Proves the same for abort.
// expect-leaks: none
// expect-signal: ABRT
#include "leak.h"

int main(void) {
    lose(40);
    abort();
}
