// Proves that requests beyond PTRDIFF_MAX fail with ENOMEM in every function, and that the program goes on.
#include "test.h"

static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4096, SIZE_MAX / 2 + 1, (size_t)PTRDIFF_MAX,
    (size_t)PTRDIFF_MAX - 8192, 1UL << 62, 1UL << 48};

static void fails(void *p, size_t bytes) {
    CHECK_AT(p == NULL && errno == ENOMEM, p, bytes);
    errno = 0;
}

int main(void) {
    unsigned char *held = malloc(1000);
    fill(held, 1000, 3);
    errno = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *untouched = held;
        fails(malloc(sizes[i]), sizes[i]);
        fails(calloc(1, sizes[i]), sizes[i]);
        fails(calloc(sizes[i], 1), sizes[i]);
        fails(realloc(NULL, sizes[i]), sizes[i]);
        fails(realloc(held, sizes[i]), sizes[i]);
        fails(reallocarray(held, 1, sizes[i]), sizes[i]);
        fails(memalign(64, sizes[i]), sizes[i]);
        fails(memalign(1 << 20, sizes[i]), sizes[i]);
        fails(aligned_alloc(16, sizes[i] & ~15UL), sizes[i]);
        fails(valloc(sizes[i]), sizes[i]);
        fails(pvalloc(sizes[i]), sizes[i]);
        CHECK(posix_memalign(&untouched, 32, sizes[i]) == ENOMEM && untouched == held);
        errno = 0;
    }
    fails(memalign(1UL << 47, 1UL << 47), 1UL << 47);
    fails(memalign(1UL << 63, 1), 1UL << 63);
    CHECK(is_filled(held, 1000, 3));
    free(held);
    void *p = malloc(1 * MIB);
    CHECK(p != NULL);
    free(p);
}
