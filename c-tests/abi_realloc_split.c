// Proves that realloc keeps the contents of large objects of which the program has changed a part's mapping, and that the memory it then takes is there.
#include "test.h"

/* The kernel can't move such a range as a whole. */
int main(void) {
    enum { ROUNDS = 20 };
    void *behind[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t bytes = (2 + i % 5) * MIB;
        unsigned char *p = malloc(bytes);
        behind[i] = malloc(MIB); /* lest it grow in place */
        CHECK(p != NULL && behind[i] != NULL);
        fill(p, bytes, i);
        unsigned char *page = (unsigned char *)(((uintptr_t)p + MIB) & ~(uintptr_t)4095);
        CHECK(madvise(page, MIB / 2, MADV_DONTDUMP) == 0);
        unsigned char *q = realloc(p, bytes * 2);
        CHECK(q != NULL && is_filled(q, bytes, i));
        fill(q, bytes * 2, i + 1);
        unsigned char *again = calloc(1, bytes);
        CHECK(again != NULL && is_zero(again, bytes));
        CHECK(is_filled(q, bytes * 2, i + 1));
        free(again);
        free(q);
    }
    for (size_t i = 0; i < ROUNDS; i++) free(behind[i]);
}
