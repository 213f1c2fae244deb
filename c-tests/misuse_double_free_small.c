// Proves that a small object freed twice is found when the caches are emptied into the spans, at the latest.
// run: 8
// run: 24
// run: 64
// run: 1000
// run: 2688
// run: 8192
// run: 32768
// expect-signal: ABRT
// expect-stderr: besom: double free(): {p}, a {size}-byte object, is free already
#include "misuse.h"

/* A second object keeps the span from becoming free memory. */
int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10);
    void *keep = malloc(bytes), *p = malloc(bytes);
    CHECK(keep != p);
    SAY_POINTER("p", p);
    SAY_NUMBER("size", malloc_usable_size(p));
    free(p);
    free(p);
    malloc_trim(0);
    dprintf(2, "the misuse went unnoticed\n");
}
