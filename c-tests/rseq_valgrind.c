// Proves that the allocator runs under valgrind, which has no rseq, and says that it uses the locked caches.
// options: stats=1
// under: valgrind -q --tool=none
// expect-stderr-has: besom: {*}caches: locked shards{*}
// skip: locked, valgrind alone takes rseq away
// skip: unregistered, valgrind alone takes rseq away
#include "test.h"

int main(void) {
    static unsigned char *objects[2000];
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        objects[i] = malloc(i * 20);
        fill(objects[i], i * 20, i);
    }
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        CHECK_AT(is_filled(objects[i], i * 20, i), i, objects[i]);
        free(objects[i]);
    }
    free(malloc(100 * MIB));
}
