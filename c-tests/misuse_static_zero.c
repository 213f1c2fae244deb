// Proves that the address of a variable in .bss, which lies in an anonymous mapping, is called static data.
// run: free
// run: realloc
// run: usable
// run: free_sized
// run: free_aligned_sized
// run: delete
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} is static data
#include "misuse.h"

static char zeros[1 << 20] __attribute__((aligned(64)));

int main(int argc, char **argv) {
    (void)argc;
    void *p = zeros + (512 << 10);
    OPAQUE(p);
    misuse(argv[1], p, 64);
}
