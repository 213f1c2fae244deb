// Proves that free_sized and free_aligned_sized refuse a size of another class than the object's.
// run: free_sized 64 100
// run: free_sized 64 8
// run: free_sized 1024 1025
// run: free_sized 64 1000000
// run: free_sized 1000000 64
// run: free_sized 1000000 100000
// run: free_sized 100000 1000000
// run: free_aligned_sized 64 1000
// expect-signal: ABRT
// expect-stderr: besom: wrong size in {op}: {given} bytes given for {p}, a {size}-byte object
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[2], NULL, 10), given = strtoul(argv[3], NULL, 10);
    int aligned = strcmp(argv[1], "free_aligned_sized") == 0;
    void *p = aligned ? aligned_alloc(16, bytes) : malloc(bytes);
    SAY_NUMBER("size", malloc_usable_size(p));
    SAY_NUMBER("given", given);
    misuse(argv[1], p, given);
}
