// Proves that an address in the rest of a span, behind its last object, is found at once: no object ever lies there.
// run: free 48 32
// run: realloc 48 32
// run: usable 48 32
// run: delete 48 32
// run: free_sized 48 32
// run: free 112 16
// run: free 208 80
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} was never given out by besom
#include "misuse.h"

/* The rest is what the objects of the class leave of the span's one page. It begins where the next object
   would. */
int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[2], NULL, 10), rest = strtoul(argv[3], NULL, 10);
    CHECK(PAGE_BYTES % bytes == rest);
    uintptr_t page = (uintptr_t)malloc(bytes) & ~(PAGE_BYTES - 1);
    misuse(argv[1], (void *)(page + PAGE_BYTES - rest), bytes);
}
