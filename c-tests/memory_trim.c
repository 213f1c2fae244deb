// Proves that malloc_trim gives the memory of freed objects, small and large, back to the kernel: the resident size falls.
// run: 100
// run: 4000
// run: 30000
// run: 3000000
#include "test.h"

enum { HELD_BYTES = 96 << 20 };
static void *objects[HELD_BYTES / 100];

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10), count = HELD_BYTES / bytes;
    for (size_t i = 0; i < count; i++) objects[i] = NULL;
    size_t before = resident_bytes();
    for (size_t i = 0; i < count; i++) {
        objects[i] = malloc(bytes);
        memset(objects[i], 1, bytes);
    }
    size_t during = resident_bytes();
    CHECK_AT(during >= before + HELD_BYTES / 8 * 7, before, during);
    for (size_t i = 0; i < count; i++) free(objects[i]);
    malloc_trim(0);
    size_t after = resident_bytes();
    CHECK_AT(after <= before + 8 * MIB, before, after);
    CHECK(malloc_trim(0) == 0);
}
