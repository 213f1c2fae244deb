// Proves that pages without access inside blocks do no harm, and the rest of these blocks is read.
// expect-leaks: definitely=9/1
#include "leak.h"

void **block, **kept_small[64];

int main(void) {
    block = (void **)aligned_alloc(4096, 16 * 4096);
    memset(block, 0, 16 * 4096);
    block[0] = make(40);
    block[15 * 512] = make(40);
    CHECK(mprotect(block + 3 * 512, 2 * 4096, PROT_NONE) == 0);
    /* A whole page of small blocks. */
    for (int i = 0; i < 64; i++) kept_small[i] = (void **)aligned_alloc(4096, 4096);
    CHECK(mprotect(kept_small[20], 4096, PROT_NONE) == 0);
    lose(9);
}
