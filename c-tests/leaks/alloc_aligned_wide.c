// Proves that a block with an alignment beyond besom's pages is found by its pointer, and counted when lost.
// expect-leaks: definitely=1000/1 reachable=100000/1
#include "leak.h"

void *kept;

static NOINLINE void lose_wide(void) {
    void *p;
    CHECK(posix_memalign(&p, 64 * KIB, 1000) == 0);
    OPAQUE(p);
}

int main(void) {
    lose_wide();
    CHECK(posix_memalign(&kept, 1 * MIB, 100000) == 0);
}
