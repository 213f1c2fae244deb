// Proves that a limit of address space ends in NULL and ENOMEM, and that the program goes on and can use what it frees.
// ulimit-v: 524288
// run: 100
// run: 5000
// run: 100000
// run: 10000000
#include "test.h"

/* The objects are linked through their first word. */
int main(int argc, char **argv) {
    (void)argc;
    size_t bytes = strtoul(argv[1], NULL, 10), count = 0;
    void **all = NULL, **p;
    errno = 0;
    while ((p = malloc(bytes)) != NULL) {
        *p = all;
        all = p;
        count++;
    }
    CHECK(errno == ENOMEM);
    CHECK_AT(count * bytes >= 128 * MIB && count * bytes <= 512 * MIB, count, bytes);
    errno = 0;
    CHECK(malloc(1 * GIB) == NULL && errno == ENOMEM);
    CHECK(calloc(1, 1 * GIB) == NULL && realloc(NULL, 1 * GIB) == NULL);
    while (all != NULL) {
        p = *all;
        free(all);
        all = p;
    }
    for (size_t again = 0; again < count / 2; again++) {
        p = malloc(bytes);
        CHECK_AT(p != NULL, again, count);
        *p = all;
        all = p;
    }
}
