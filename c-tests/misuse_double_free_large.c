// Proves that a large object freed twice is found at once, and so is any other use of it.
// run: free 40000
// run: free 1000000
// run: free 100000000
// run: realloc 1000000
// run: usable 1000000
// run: free_sized 1000000
// run: free_aligned_sized 1000000
// run: delete 1000000
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} is in free memory
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[2], NULL, 10);
    void *p = malloc(bytes);
    free(p);
    misuse(argv[1], p, bytes);
}
