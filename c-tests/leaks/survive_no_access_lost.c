// Proves that a lost block without access is counted and does no harm.
// expect-leaks: definitely=65536/1
#include "leak.h"

static NOINLINE void lose_closed(void) {
    void *p = aligned_alloc(4096, 16 * 4096);
    CHECK(mprotect(p, 16 * 4096, PROT_NONE) == 0);
    OPAQUE(p);
}

int main(void) { lose_closed(); }
