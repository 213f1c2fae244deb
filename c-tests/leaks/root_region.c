// Proves that registered regions keep blocks, also where mappings do not count, until they are taken back.
// expect-leaks: definitely=41/1
// options: use_mappings=0
#include "leak.h"

int main(void) {
    char *map = (char *)mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    void **first = (void **)map, **second = (void **)(map + 32 * KIB), **third = (void **)(map + 48 * KIB);
    first[5] = make(40);
    second[5] = make(41);
    third[5] = make(42);
    __lsan_register_root_region(first, 100);
    __lsan_register_root_region(second, 100);
    besom_register_root_region(third, 100);
    __lsan_unregister_root_region(second, 100);
    CHECK(besom_register_root_region(third, 100) == 0 && besom_unregister_root_region(third, 100) == 0);
    CHECK(besom_unregister_root_region(third, 99) == -1 && errno == EINVAL);
}
