// Proves that use_mappings=0 takes mappings out of the search, as in LeakSanitizer.
// expect-leaks: definitely=40/1
// options: use_mappings=0
#include "leak.h"

int main(void) {
    void **map = (void **)mmap(NULL, 1 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    map[77777] = make(40);
    OPAQUE(map);
}
