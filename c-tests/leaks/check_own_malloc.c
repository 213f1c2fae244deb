// Proves that a program with a malloc of its own is told that besom sees nothing of it.
// expect-leaks: none
// expect-stderr: besom: leak=1 finds nothing: this program does not allocate with besom {*}
// expect-exit: 3
#include "leak.h"

/* Never frees; enough for this program and its libraries. */
static char space[1 << 20] __attribute__((aligned(64)));
static size_t used;

void *malloc(size_t bytes) {
    size_t at = __atomic_fetch_add(&used, (bytes + 63) & ~(size_t)63, __ATOMIC_RELAXED);
    return at + bytes <= sizeof space ? space + at : NULL;
}

void *calloc(size_t count, size_t bytes) { return malloc(count * bytes); }

void *realloc(void *old, size_t bytes) {
    void *new = malloc(bytes);
    if (old != NULL && new != NULL) memmove(new, old, bytes);
    return new;
}

void free(void *p) {}

int main(void) {
    lose(40);
    CHECK(besom_leak_check() == -1);
    return 3;
}
