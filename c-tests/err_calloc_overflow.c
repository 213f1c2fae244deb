// Proves that calloc notices when the product of its arguments overflows, even to something small.
#include "test.h"

int main(void) {
    static const size_t factors[][2] = {{SIZE_MAX, 2}, {2, SIZE_MAX}, {1UL << 32, 1UL << 32}, {(1UL << 32) + 1, 1UL << 32},
        {SIZE_MAX / 16 + 2, 16}, {SIZE_MAX, SIZE_MAX}, {1UL << 63, 2}, {3, SIZE_MAX / 3 + 6}};
    for (size_t i = 0; i < COUNT_OF(factors); i++) {
        errno = 0;
        CHECK_AT(calloc(factors[i][0], factors[i][1]) == NULL, factors[i][0], factors[i][1]);
        CHECK(errno == ENOMEM);
    }
    CHECK(calloc(0, SIZE_MAX) != NULL && calloc(SIZE_MAX, 0) != NULL);
}
