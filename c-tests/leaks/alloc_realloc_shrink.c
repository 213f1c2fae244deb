// Proves that a block that shrank is counted with its last size.
// expect-leaks: definitely=70090/2
#include "leak.h"

static NOINLINE void lose_changed(size_t from, size_t to) {
    void *p = realloc(make(from), to);
    CHECK(p != NULL);
    OPAQUE(p);
}

int main(void) {
    lose_changed(100, 90);
    lose_changed(900000, 70000);
}
