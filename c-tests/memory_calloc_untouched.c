// Proves that calloc of fresh memory does not touch it: a gigabyte of zeros costs next to nothing until it is written.
#include "test.h"

int main(void) {
    size_t before = resident_bytes();
    unsigned char *p = calloc(1, 1 * GIB);
    CHECK(p != NULL);
    CHECK_AT(resident_bytes() <= before + 4 * MIB, before, resident_bytes());
    for (size_t i = 0; i < 1 * GIB; i += 16 * MIB) CHECK(p[i] == 0);
    free(p);
}
