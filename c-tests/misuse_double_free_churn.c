// Proves that a small object freed twice is found by going on allocating and freeing, without malloc_trim.
// run: 64
// run: 1000
// expect-signal: ABRT
// expect-stderr: besom: double free(): {p}, a {size}-byte object, is free already
#include "misuse.h"

enum { OBJECTS = 200000, ROUNDS = 20 };
static void *objects[OBJECTS];

/* Both copies of the pointer lie in the caches. Freeing far more than the caches hold pushes both out into
   the span. */
int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10);
    for (size_t i = 0; i < OBJECTS; i++) objects[i] = malloc(bytes);
    void *p = objects[OBJECTS / 2];
    SAY_POINTER("p", p);
    SAY_NUMBER("size", malloc_usable_size(p));
    free(p);
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < OBJECTS; i++) objects[i] = malloc(bytes);
        for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    }
    dprintf(2, "the misuse went unnoticed\n");
}
