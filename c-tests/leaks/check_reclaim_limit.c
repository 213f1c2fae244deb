// Proves that a request which finds no memory has that of the blocks that reclaim=1 has yet to free.
// expect-leaks: definitely=50000000/50
// expect-leaks: definitely=50000000/50
// expect-exit: 0
// options: reclaim=1:hard_limit=64MiB:leak_at_exit=0
#include "leak.h"

int main(void) {
    for (int i = 0; i < 50; i++) lose(1000000);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
    CHECK(malloc(40 * MIB) == NULL);
    CHECK(besom_leak_check() == 1);
    char *p = (char *)malloc(40 * MIB);
    CHECK(p != NULL);
    memset(p, 1, 40 * MIB);
    free(p);
}
