// Proves that a mapping among the heap's addresses, which it takes by pieces under a limit, keeps blocks.
// expect-leaks: definitely=0/0
// ulimit-v: 16777216
#include "leak.h"

int main(void) {
    char *block = (char *)make(40);
    char *place = (char *)((size_t)block & ~(MIB - 1)) + 1024 * MIB;
    void **map = (void **)mmap(place, 1 * MIB, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(map != MAP_FAILED);
    map[77777] = make(40);
    map[77778] = block;
    OPAQUE(map);
}
