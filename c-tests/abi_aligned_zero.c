// Proves that aligned requests for 0 bytes give aligned pointers that free takes.
#include "test.h"

int main(void) {
    for (size_t alignment = 8; alignment <= 1 * MIB; alignment *= 2) {
        void *p = NULL, *q = aligned_alloc(alignment, 0), *r = memalign(alignment, 0);
        CHECK(posix_memalign(&p, alignment, 0) == 0);
        CHECK_AT(p != NULL && is_aligned(p, alignment), p, alignment);
        CHECK_AT(q != NULL && is_aligned(q, alignment), q, alignment);
        CHECK_AT(r != NULL && is_aligned(r, alignment), r, alignment);
        CHECK(p != q && q != r && p != r);
        free(p);
        free(q);
        free(r);
    }
}
