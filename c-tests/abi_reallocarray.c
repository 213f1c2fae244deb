// Proves that reallocarray is realloc of the product, and fails with the object untouched where the product overflows.
#include "test.h"

int main(void) {
    unsigned char *p = reallocarray(NULL, 10, 30);
    CHECK(p != NULL && malloc_usable_size(p) >= 300);
    fill(p, 300, 1);
    p = reallocarray(p, 1000, 300);
    CHECK(p != NULL && malloc_usable_size(p) >= 300000 && is_filled(p, 300, 1));
    static const size_t factors[][2] = {{SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, 2}, {1UL << 33, 1UL << 33}, {3, SIZE_MAX / 2}};
    for (size_t i = 0; i < COUNT_OF(factors); i++) {
        errno = 0;
        CHECK(reallocarray(p, factors[i][0], factors[i][1]) == NULL && errno == ENOMEM);
        CHECK(is_filled(p, 300, 1));
    }
    free(p);
}
