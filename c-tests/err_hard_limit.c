// Proves that hard_limit makes requests beyond it fail with ENOMEM, and serves again what was freed, also as one block:
// what waits in caches is no reason to fail.
// options: hard_limit=64MiB
// run: 1000
// run: 20000
// run: 1000000
#include "test.h"

static void **fill_up(size_t bytes, size_t *count) {
    void **all = NULL, **p;
    errno = 0;
    for (*count = 0; (p = malloc(bytes)) != NULL; ++*count) {
        memset(p, 1, bytes);
        *p = all;
        all = p;
    }
    CHECK(errno == ENOMEM);
    return all;
}

int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10), first, second;
    void **all = fill_up(bytes, &first);
    CHECK_AT(first * bytes >= 48 * MIB && first * bytes <= 64 * MIB, first, bytes);
    while (all != NULL) {
        void **next = *all;
        free(all);
        all = next;
    }
    CHECK(malloc(128 * MIB) == NULL);
    for (size_t size = 16; size < 200 * KIB; size += size / 4) {
        void *some[20];
        for (size_t i = 0; i < COUNT_OF(some); i++) CHECK((some[i] = malloc(size)) != NULL);
        for (size_t i = 0; i < COUNT_OF(some); i++) free(some[i]);
    }
    char *volatile large = malloc(60 * MIB);
    CHECK(large != NULL);
    free(large);
    fill_up(bytes, &second);
    CHECK_AT(second * 10 >= first * 9, first, second);
}
