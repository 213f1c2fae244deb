// Proves that a small object freed again after its whole span went back to the heap is found at once.
// run: 64
// run: 1000
// run: 10000
// expect-signal: ABRT
// expect-stderr: besom: invalid free(): {p} is in free memory
#include "misuse.h"

enum { OBJECTS = 10000 };
static void *objects[OBJECTS];

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10);
    for (size_t i = 0; i < OBJECTS; i++) objects[i] = malloc(bytes);
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    malloc_trim(0);
    misuse("free", objects[OBJECTS / 2], bytes);
}
