// Proves that every object of 0 bytes has an address of its own, which free and realloc take.
#include "test.h"

enum { OBJECTS = 3000 };
static char *objects[OBJECTS];

static int by_address(const void *a, const void *b) {
    char *x = *(char *const *)a, *y = *(char *const *)b;
    return (x > y) - (x < y);
}

int main(void) {
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(0, 8) : realloc(NULL, 0);
        CHECK(objects[i] != NULL);
    }
    qsort(objects, OBJECTS, sizeof *objects, by_address);
    for (size_t i = 1; i < OBJECTS; i++) CHECK_AT(objects[i] != objects[i - 1], objects[i], i);
    for (size_t i = 0; i < OBJECTS; i += 2) free(objects[i]);
    for (size_t i = 1; i < OBJECTS; i += 2) free(realloc(objects[i], 100));
}
