// Proves that the allocator starts under a limit of address space that leaves it only a few MiB.
// ulimit-v: 32768
#include "test.h"

int main(void) {
    static void *objects[1000];
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        objects[i] = malloc(1000);
        CHECK_AT(objects[i] != NULL, i, errno);
        memset(objects[i], 1, 1000);
    }
    errno = 0;
    CHECK(malloc(64 * MIB) == NULL && errno == ENOMEM);
    for (size_t i = 0; i < COUNT_OF(objects); i++) free(objects[i]);
}
