// Proves that an address that nothing is mapped at is refused.
// run: free
// run: realloc
// run: usable
// run: free_sized
// run: free_aligned_sized
// run: delete
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} was never given out by besom
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    free(malloc(64));
    misuse(argv[1], (void *)0x1230, 64);
}
