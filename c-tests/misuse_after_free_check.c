// Proves that check=1 finds every call that is handed a small object which is free.
// options: check=1
// run: free
// run: realloc
// run: usable
// run: free_sized
// run: free_aligned_sized
// run: delete
// expect-signal: ABRT
// expect-stderr: besom: double {op}: {p}, a {size}-byte object, is free already
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    void *keep = malloc(100), *p = malloc(100);
    CHECK(keep != p);
    SAY_NUMBER("size", malloc_usable_size(p));
    free(p);
    misuse(argv[1], p, 100);
}
