// Proves that calloc's memory is zero: fresh, reused after being written, small and large.
#include "test.h"

enum { AT_ONCE = 64, ROUNDS = 4 };

static void try_size(size_t bytes, size_t at_once) {
    unsigned char *objects[AT_ONCE];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < at_once; i++) {
            objects[i] = round % 2 ? calloc(1, bytes) : calloc(bytes, 1);
            CHECK(objects[i] != NULL);
            CHECK_AT(is_zero(objects[i], bytes), objects[i], bytes);
            memset(objects[i], 0xa5, malloc_usable_size(objects[i]));
        }
        for (size_t i = 0; i < at_once; i++) free(objects[i]);
        if (round == 2) malloc_trim(0);
    }
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(class_bytes); i++) try_size(class_bytes[i], AT_ONCE);
    for (size_t bytes = 33000; bytes <= 2 * MIB; bytes = bytes * 3 / 2) try_size(bytes, 8);
    try_size(8 * MIB, 2);
    try_size(64 * MIB, 1);
}
