// Proves that a mapping that no child gets does no harm; what only it keeps is reported, as documented.
// expect-leaks: definitely=40/1
#include "leak.h"

int main(void) {
    void **map = (void **)mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    map[100] = make(40);
    CHECK(madvise(map, 64 * KIB, MADV_DONTFORK) == 0);
}
