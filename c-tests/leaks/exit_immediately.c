// Proves that _exit ends the process without a check.
// expect-leaks: none
#include "leak.h"

int main(void) {
    lose(40);
    _exit(0);
}
