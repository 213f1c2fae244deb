// Proves that freed pages of one size serve another: phases of different sizes do not add up.
#include "test.h"

enum { PHASE_BYTES = 64 << 20 };
static void *objects[PHASE_BYTES / 64];

int main(void) {
    static const size_t sizes[] = {64, 300, 1000, 5000, 20000, 100000, 3000000, 48};
    size_t before = resident_bytes();
    memset(objects, 0, sizeof objects);
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        size_t count = PHASE_BYTES / sizes[s] < COUNT_OF(objects) ? PHASE_BYTES / sizes[s] : COUNT_OF(objects);
        for (size_t i = 0; i < count; i++) {
            objects[i] = malloc(sizes[s]);
            memset(objects[i], 1, sizes[s]);
        }
        for (size_t i = 0; i < count; i++) free(objects[i]);
    }
    size_t after = resident_bytes();
    CHECK_AT(after <= before + sizeof objects + PHASE_BYTES * 3UL / 2, before, after);
}
