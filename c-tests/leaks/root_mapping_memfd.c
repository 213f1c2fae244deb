// Proves that a shared mapping of a memfd keeps blocks.
// expect-leaks: definitely=0/0
#include "leak.h"

int main(void) {
    int fd = memfd_create("besom-test", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)MIB) == 0);
    void **map = (void **)mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    map[77777] = make(40);
}
