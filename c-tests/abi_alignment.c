// Proves that malloc, calloc and realloc align every size as C demands, and give at least the size asked for.
#include "test.h"

/* 9 bytes and more can hold a long double or a max_align_t-aligned object: 16. Less can't. */
static void check(void *p, size_t bytes) {
    CHECK_AT(p != NULL, p, bytes);
    CHECK_AT(is_aligned(p, owed_alignment(bytes)), p, bytes);
    size_t usable = malloc_usable_size(p);
    CHECK_AT(usable >= bytes, usable, bytes);
    ((volatile char *)p)[0] = 1;
    ((volatile char *)p)[usable - 1] = 1;
}

static void try_size(size_t bytes) {
    void *p = malloc(bytes), *q = calloc(1, bytes), *r = realloc(NULL, bytes);
    check(p, bytes);
    check(q, bytes);
    check(r, bytes);
    CHECK_AT(p != q && q != r && p != r, p, q);
    r = realloc(r, bytes + 1);
    check(r, bytes + 1);
    free(p);
    free(q);
    free(r);
}

int main(void) {
    for (size_t bytes = 1; bytes <= 4096; bytes++) try_size(bytes);
    for (size_t i = 0; i < COUNT_OF(class_bytes); i++)
        for (size_t bytes = class_bytes[i] - 1; bytes <= class_bytes[i] + 1; bytes++) try_size(bytes);
    for (size_t power = 8192; power <= 64 * MIB; power *= 2)
        for (size_t bytes = power - 1; bytes <= power + 1; bytes++) try_size(bytes);
}
