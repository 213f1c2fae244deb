// Proves that a mapping among the heap's addresses, which it takes by pieces under a limit, keeps blocks.
// expect-leaks: definitely=0/0
// ulimit-v: 16777216
#include "leak.h"
#include <sys/resource.h>

int main(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    char *block = (char *)make(40);
    /* Without a limit, as where tools are compared, the heap has all of its addresses. */
    int is_limited = limit.rlim_cur != RLIM_INFINITY;
    char *place = is_limited ? (char *)((size_t)block & ~(MIB - 1)) + 1024 * MIB : NULL;
    void **map = (void **)mmap(place, 1 * MIB, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | (is_limited ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    CHECK(map != MAP_FAILED);
    map[77777] = make(40);
    map[77778] = block;
    OPAQUE(map);
}
