// Proves that a local variable of main that has returned keeps nothing.
// expect-leaks: definitely=40/1
#include "leak.h"

int main(void) {
    void *volatile p = make(40);
    return p == NULL;
}
