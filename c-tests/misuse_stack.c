// Proves that an address on the main thread's stack is refused, and called that.
// run: free
// run: realloc
// run: usable
// run: free_sized
// run: free_aligned_sized
// run: delete
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} is on a stack
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    char on_stack[64] __attribute__((aligned(64)));
    void *p = on_stack;
    OPAQUE(p);
    free(malloc(64));
    misuse(argv[1], p, 64);
}
