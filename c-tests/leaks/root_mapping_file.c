// Proves that a private mapping of a file keeps blocks on the pages that the program changed.
// expect-leaks: definitely=0/0
#include "leak.h"

int main(void) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void **map = (void **)mmap(NULL, 8 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(fd >= 0 && map != MAP_FAILED);
    map[777] = make(40);
}
