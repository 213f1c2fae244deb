// Proves that the address of a variable in the program's data is refused, and called static data.
// run: free
// run: realloc
// run: usable
// run: free_sized
// run: free_aligned_sized
// run: delete
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} is static data
#include "misuse.h"

static char data[64] __attribute__((aligned(64))) = "initialised";

int main(int argc, char **argv) {
    (void)argc;
    void *p = data;
    OPAQUE(p);
    free(malloc(64));
    misuse(argv[1], p, 64);
}
