// Proves that an address in the rest of a span, behind its last object, is refused: no object ever lies there.
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
    misuse("free", (void *)(page + PAGE_BYTES - rest), bytes);
}
