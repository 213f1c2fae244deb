// Proves that a mapping behind the end of its file, which can't be read, does no harm.
// expect-leaks: definitely=9/1
#include "leak.h"

int main(void) {
    int fd = memfd_create("besom-test", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 64 * 4096) == 0);
    char *private_map = (char *)mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *shared_map = (char *)mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(private_map != MAP_FAILED && shared_map != MAP_FAILED);
    ((void **)private_map)[1] = make(40);
    CHECK(ftruncate(fd, 4096) == 0);
    lose(9);
}
