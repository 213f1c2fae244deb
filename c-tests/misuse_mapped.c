// Proves that memory which the program mapped itself is refused.
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
    char *p = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    free(malloc(64));
    misuse(argv[1], p, 64);
}
