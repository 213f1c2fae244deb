// Proves that requests of C land in Go's size classes: the smallest class that is large and aligned enough.
#include "test.h"

/* Class 24 is only 8-aligned, and C may need 16 in 17 bytes and more; the others above 8 are all 16-aligned. */
static size_t expected(size_t bytes) {
    for (size_t i = 0; i < COUNT_OF(class_bytes); i++)
        if (class_bytes[i] >= bytes && class_bytes[i] != 24) return class_bytes[i];
    return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

int main(void) {
    for (size_t bytes = 1; bytes <= 70000; bytes++) {
        void *p = malloc(bytes);
        CHECK_AT(malloc_usable_size(p) == expected(bytes), malloc_usable_size(p), bytes);
        free(p);
    }
}
