// Proves that impossible alignments fail with EINVAL, as return value or errno, as the manual pages say.
#include "test.h"

int main(void) {
    static const size_t bad[] = {0, 3, 12, 24, 100, 4097, SIZE_MAX, (1UL << 40) + 8};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        void *p = &p;
        errno = 77;
        CHECK_AT(posix_memalign(&p, bad[i], 100) == EINVAL, bad[i], 0);
        CHECK_AT(p == &p && errno == 77, p, errno);
        CHECK_AT(aligned_alloc(bad[i], 100) == NULL && errno == EINVAL, bad[i], errno);
    }
    /* A power of two, but no multiple of the size of a pointer. */
    for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2) {
        void *p = NULL;
        CHECK_AT(posix_memalign(&p, alignment, 100) == EINVAL && p == NULL, alignment, 0);
    }
}
