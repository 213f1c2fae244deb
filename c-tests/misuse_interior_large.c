// Proves that an address inside a large object is refused, near its start and many pages on.
// run: free 40000 16
// run: free 40000 8192
// run: free 1000000 999984
// run: free 100000000 67108864
// run: realloc 1000000 524288
// run: usable 1000000 8192
// run: free_sized 1000000 8192
// run: free_aligned_sized 1000000 8192
// run: delete 1000000 8192
// expect-signal: ABRT
// expect-stderr: besom: invalid {op}: {p} is {offset} bytes inside a {size}-byte object at {base}
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[2], NULL, 10), offset = strtoul(argv[3], NULL, 10);
    free(malloc(bytes));
    malloc(bytes);
    char *base = malloc(bytes);
    SAY_POINTER("base", base);
    SAY_NUMBER("offset", offset);
    SAY_NUMBER("size", malloc_usable_size(base));
    misuse(argv[1], base + offset, bytes);
}
