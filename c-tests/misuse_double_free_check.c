// Proves that check=1 finds a small object freed twice at once.
// options: check=1
// run: 8
// run: 16
// run: 24
// run: 64
// run: 1024
// run: 8192
// run: 32768
// expect-signal: ABRT
// expect-stderr: besom: double {op}: {p}, a {size}-byte object, is free already
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10);
    void *keep = malloc(bytes), *p = malloc(bytes);
    CHECK(keep != p);
    SAY_NUMBER("size", malloc_usable_size(p));
    free(p);
    misuse("free", p, bytes);
}
