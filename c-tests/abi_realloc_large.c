// Proves that large objects keep their contents when they grow in place, move, trim and become small.
#include "test.h"

/* One word per 512 bytes is enough to see any page misplaced. */
enum { STRIDE_WORDS = 64 };

static void mark(size_t *words, size_t bytes) {
    for (size_t i = 0; i < bytes / sizeof *words; i += STRIDE_WORDS) words[i] = i * 0x9e3779b97f4a7c15UL;
}

static void check(const size_t *words, size_t bytes) {
    for (size_t i = 0; i < bytes / sizeof *words; i += STRIDE_WORDS)
        CHECK_AT(words[i] == i * 0x9e3779b97f4a7c15UL, words + i, bytes);
}

static size_t *resize(size_t *p, size_t from, size_t to) {
    p = realloc(p, to);
    CHECK_AT(p != NULL && malloc_usable_size(p) >= to, p, to);
    check(p, from < to ? from : to);
    mark(p, to);
    return p;
}

/* With a blocker behind it an object can't grow in place. */
static void up_and_down(int blocked, size_t top) {
    void *blockers[64];
    size_t count = 0, bytes = 40000;
    size_t *p = malloc(bytes);
    mark(p, bytes);
    while (bytes < top) {
        if (blocked) blockers[count++] = malloc(40000);
        p = resize(p, bytes, bytes * 2 - 4096);
        bytes = bytes * 2 - 4096;
    }
    while (bytes > 5000) {
        p = resize(p, bytes, bytes / 3 * 2);
        bytes = bytes / 3 * 2;
    }
    free(p);
    while (count > 0) free(blockers[--count]);
}

int main(void) {
    up_and_down(0, 256 * MIB);
    up_and_down(1, 256 * MIB);
    up_and_down(0, 2 * MIB);
    up_and_down(1, 2 * MIB);
}
