// Proves that objects never overlap and keep their contents through random allocating, resizing and freeing of all sizes.
#include "test.h"

enum { OBJECTS = 4000, STEPS = 150000 };
static unsigned char *objects[OBJECTS];
static size_t sizes[OBJECTS], seeds[OBJECTS];

/* Mostly small sizes, some of every power up to 1 MiB. */
static size_t random_size(uint64_t random) {
    size_t scale = random % 20;
    return 1 + (random >> 8) % (2UL << (random % 64 < 60 ? scale % 11 : scale));
}

/* The ends are enough to see another object's bytes. */
static void mark(size_t i) {
    size_t n = sizes[i] < 64 ? sizes[i] : 64;
    fill(objects[i], n, seeds[i]);
    fill(objects[i] + sizes[i] - n, n, seeds[i]);
}

static void check(size_t i) {
    size_t n = sizes[i] < 64 ? sizes[i] : 64;
    CHECK_AT(is_filled(objects[i] + sizes[i] - n, n, seeds[i]), objects[i], sizes[i]);
    if (sizes[i] >= 128) CHECK_AT(is_filled(objects[i], n, seeds[i]), objects[i], sizes[i]);
}

static void step(size_t i, uint64_t random) {
    if (objects[i] != NULL) check(i);
    size_t bytes = random_size(random >> 4);
    if (random % 16 < 3 && objects[i] != NULL) {
        objects[i] = realloc(objects[i], bytes);
    } else {
        free(objects[i]);
        objects[i] = random % 16 == 15 ? aligned_alloc(64, bytes) : malloc(bytes);
    }
    CHECK(objects[i] != NULL);
    sizes[i] = bytes;
    seeds[i] = random >> 40;
    mark(i);
}

int main(void) {
    uint64_t state = 2463534242UL;
    for (int n = 0; n < STEPS; n++) {
        uint64_t random = next_random(&state);
        step(random % OBJECTS, random >> 16);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        if (objects[i] != NULL) check(i);
}
