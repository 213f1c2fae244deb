// Proves that realloc keeps the contents over every border between classes, up and down, and to and from large.
#include "test.h"

static size_t borders[3 * COUNT_OF(class_bytes) + 32];
static size_t count;

static void move(size_t from, size_t to) {
    unsigned char *p = malloc(from);
    fill(p, from, from);
    p = realloc(p, to);
    size_t kept = from < to ? from : to;
    CHECK_AT(p != NULL && is_filled(p, kept, from), from, to);
    CHECK_AT(is_aligned(p, owed_alignment(to)) && malloc_usable_size(p) >= to, p, to);
    fill(p, to, to);
    CHECK_AT(is_filled(p, to, to), from, to);
    free(p);
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(class_bytes); i++)
        for (size_t bytes = class_bytes[i] - 1; bytes <= class_bytes[i] + 1; bytes++) borders[count++] = bytes;
    for (size_t bytes = 40000; bytes < 600000; bytes *= 2) borders[count++] = bytes;
    for (size_t i = 0; i < count; i++) {
        move(borders[i], borders[(i + 1) % count]);
        move(borders[(i + 1) % count], borders[i]);
        move(borders[i], borders[(i * 7 + 3) % count]);
    }
    void *p = realloc(NULL, 100);
    CHECK(p != NULL);
    free(p);
}
