// Proves that an address in the rest of a span, behind its last object, is found when the caches are emptied, at the latest: no object ever lies there.
// run: 48 32
// run: 112 16
// expect-signal: ABRT
// expect-stderr: besom: invalid free(): {p} was never given out by besom
#include "misuse.h"

/* The rest is what the objects of the class leave of the span's one page. */
int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10), rest = strtoul(argv[2], NULL, 10);
    CHECK(PAGE_BYTES % bytes == rest);
    uintptr_t page = (uintptr_t)malloc(bytes) & ~(PAGE_BYTES - 1);
    void *tail = (void *)(page + PAGE_BYTES - rest);
    SAY_POINTER("p", tail);
    free(tail);
    malloc_trim(0);
    dprintf(2, "the misuse went unnoticed\n");
}
