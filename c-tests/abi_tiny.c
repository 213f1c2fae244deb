// Proves that objects packed into shared blocks (min_align below 8) stay apart, keep their contents and are freed one by one.
// options: min_align=1
#include "test.h"

enum { OBJECTS = 5000, STEPS = 400000 };
static unsigned char *objects[OBJECTS];
static size_t sizes[OBJECTS], seeds[OBJECTS];

static void replace(size_t i, uint64_t random) {
    if (objects[i] != NULL) {
        CHECK_AT(is_filled(objects[i], sizes[i], seeds[i]), objects[i], sizes[i]);
        free(objects[i]);
    }
    sizes[i] = 1 + random % 24;
    seeds[i] = random >> 32;
    objects[i] = malloc(sizes[i]);
    CHECK(objects[i] != NULL);
    CHECK_AT(malloc_usable_size(objects[i]) >= sizes[i], objects[i], sizes[i]);
    if (sizes[i] > 8) CHECK_AT(is_aligned(objects[i], 16), objects[i], sizes[i]);
    fill(objects[i], sizes[i], seeds[i]);
}

static void grow(size_t i, uint64_t random) {
    size_t bytes = 1 + random % 40, kept = bytes < sizes[i] ? bytes : sizes[i];
    objects[i] = realloc(objects[i], bytes);
    CHECK_AT(is_filled(objects[i], kept, seeds[i]), objects[i], bytes);
    sizes[i] = bytes;
    fill(objects[i], bytes, seeds[i]);
}

int main(void) {
    uint64_t state = 88172645463325252UL;
    for (int step = 0; step < STEPS; step++) {
        uint64_t random = next_random(&state);
        size_t i = (random >> 16) % OBJECTS;
        if (random % 8 == 0 && objects[i] != NULL)
            grow(i, random >> 8);
        else
            replace(i, random >> 8);
    }
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
}
