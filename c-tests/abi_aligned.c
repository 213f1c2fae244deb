// Proves that memalign, aligned_alloc and posix_memalign serve every alignment from 1 byte to 16 MiB for small and large sizes.
#include "test.h"

static const size_t sizes[] = {1, 8, 17, 24, 48, 100, 1000, 4096, 5000, 8192, 10000, 32768, 40000, 300000, 2 * MIB + 1};

static void use(void *p, size_t alignment, size_t bytes) {
    CHECK_AT(p != NULL && is_aligned(p, alignment), alignment, bytes);
    size_t usable = malloc_usable_size(p);
    CHECK_AT(usable >= bytes, usable, bytes);
    memset(p, 0x5a, usable < 64 * KIB ? usable : bytes);
}

static void try_one(size_t alignment, size_t bytes) {
    void *p = memalign(alignment, bytes), *q = aligned_alloc(alignment, bytes), *r = NULL;
    use(p, alignment, bytes);
    use(q, alignment, bytes);
    if (alignment >= sizeof(void *)) {
        CHECK(posix_memalign(&r, alignment, bytes) == 0);
        use(r, alignment, bytes);
    }
    CHECK_AT(p != q && q != r, p, q);
    /* Objects placed by memalign are as good for realloc as any other. */
    fill(p, bytes, alignment);
    p = realloc(p, bytes + 100);
    CHECK_AT(p != NULL && is_filled(p, bytes, alignment), alignment, bytes);
    free(p);
    free(q);
    free(r);
}

int main(void) {
    for (size_t alignment = 1; alignment <= 16 * MIB; alignment *= 2)
        for (size_t i = 0; i < COUNT_OF(sizes); i++) try_one(alignment, sizes[i]);
}
