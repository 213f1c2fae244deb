// Proves that a private mapping keeps blocks.
// expect-leaks: definitely=0/0
#include "leak.h"

int main(void) {
    void **map = (void **)mmap(NULL, 1 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    map[77777] = make(40);
    OPAQUE(map);
}
