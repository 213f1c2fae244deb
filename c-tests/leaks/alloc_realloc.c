// Proves that a block that grew, in place or by moving, is counted once, with its last size.
// expect-leaks: definitely=300050/3
#include "leak.h"

static NOINLINE void lose_changed(size_t from, size_t to) {
    void *p = make(from);
    for (size_t bytes = from; bytes < to; bytes += bytes / 2) p = realloc(p, bytes);
    p = realloc(p, to);
    CHECK(p != NULL);
    OPAQUE(p);
}

int main(void) {
    lose_changed(8, 50);
    lose_changed(100, 100000);
    lose_changed(50000, 200000);
}
