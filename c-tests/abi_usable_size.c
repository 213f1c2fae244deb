// Proves that all bytes malloc_usable_size tells belong to the object alone: they are all written, and none changes.
#include "test.h"

enum { PER_SIZE = 40 };

static void try_size(size_t bytes) {
    unsigned char *objects[PER_SIZE];
    size_t usable[PER_SIZE];
    for (size_t i = 0; i < PER_SIZE; i++) {
        objects[i] = malloc(bytes);
        usable[i] = malloc_usable_size(objects[i]);
        CHECK_AT(usable[i] >= bytes, usable[i], bytes);
        fill(objects[i], usable[i], i);
    }
    for (size_t i = 0; i < PER_SIZE; i++) CHECK_AT(is_filled(objects[i], usable[i], i), objects[i], bytes);
    for (size_t i = 0; i < PER_SIZE; i++) free(objects[i]);
}

int main(void) {
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(class_bytes); i++) {
        try_size(class_bytes[i]);
        try_size(class_bytes[i] + 1);
    }
    try_size(100000);
    try_size(1 * MIB + 1);
}
