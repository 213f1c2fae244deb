// Proves that a small object freed twice is found after long use of the caches, too, when its other copies are in use again.
// run: 64
// run: 1000
// expect-signal: ABRT
// expect-stderr: besom: double free(): {p}, a {size}-byte object, is free already
#include "misuse.h"

enum { OBJECTS = 100000, ROUNDS = 20, KEPT_ONE_IN = 4 };
static void *objects[OBJECTS];

/* All but every fourth object, so that no span becomes free memory as a whole. */
static void free_most(void) {
    for (size_t i = 0; i < OBJECTS; i++)
        if (i % KEPT_ONE_IN != 0) free(objects[i]);
}

static void make_most(size_t bytes) {
    for (size_t i = 0; i < OBJECTS; i++)
        if (i % KEPT_ONE_IN != 0) objects[i] = malloc(bytes);
}

/* Far more is freed than the caches hold, so that one copy of the pointer or both go to the span. A copy may
   stay at the bottom of a cache for ever: only emptying it brings that one out. */
int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10);
    for (size_t i = 0; i < OBJECTS; i++) objects[i] = malloc(bytes);
    void *p = objects[OBJECTS / 2 + 1];
    SAY_POINTER("p", p);
    SAY_NUMBER("size", malloc_usable_size(p));
    free(p);
    free_most();
    for (size_t round = 0; round < ROUNDS; round++) {
        make_most(bytes);
        free_most();
    }
    malloc_trim(0);
    dprintf(2, "the misuse went unnoticed\n");
}
