// Proves that an address inside a small object is refused with the object it lies in.
// run: free 16 8
// run: free 48 16
// run: free 64 1
// run: free 100 32
// run: free 1024 1023
// run: realloc 64 16
// run: usable 64 16
// run: free_sized 64 16
// run: free_aligned_sized 64 16
// run: delete 64 16
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
