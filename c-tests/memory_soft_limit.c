// Proves that above the soft limit freed memory goes back to the kernel at once, without malloc_trim.
// options: limit=32MiB
#include "test.h"

int main(void) {
    void *objects[128];
    size_t before = resident_bytes();
    for (size_t i = 0; i < 128; i++) {
        objects[i] = malloc(1 * MIB);
        CHECK(objects[i] != NULL);
        memset(objects[i], 1, 1 * MIB);
    }
    CHECK(resident_bytes() >= before + 120 * MIB);
    for (size_t i = 0; i < 128; i++) free(objects[i]);
    size_t after = resident_bytes();
    CHECK_AT(after <= before + 40 * MIB, before, after);
}
