// Proves that an address inside an object of a class whose spans have several pages is refused, also on a later page.
// run: free 1400 16
// run: free 3000 1024
// run: free 6900 6800
// run: free 10000 8192
// run: free 27264 27248
// run: realloc 27264 16384
// run: usable 18432 8192
// run: free_sized 12288 8192
// run: delete 32768 16384
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
