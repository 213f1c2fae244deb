// Proves that a block that was allocated while disabled stays unreported when it grows.
// expect-leaks: definitely=0/0
#include "leak.h"

static NOINLINE void grow(void) {
    __lsan_disable();
    void *p = make(90);
    __lsan_enable();
    p = realloc(p, 96);
    OPAQUE(p);
}

int main(void) { grow(); }
