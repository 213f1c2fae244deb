// Proves that aligned blocks are counted with the size that was asked for.
// expect-leaks: definitely=12556/5
#include "leak.h"

static NOINLINE void lose_aligned(void) {
    void *p;
    CHECK(posix_memalign(&p, 64, 100) == 0);
    OPAQUE(p);
    p = aligned_alloc(32, 64);
    OPAQUE(p);
    p = memalign(4096, 200);
    OPAQUE(p);
    p = valloc(4000);
    OPAQUE(p);
    p = pvalloc(5000);
    OPAQUE(p);
}

int main(void) {
    CHECK(sysconf(_SC_PAGESIZE) == 4096);
    lose_aligned();
}
