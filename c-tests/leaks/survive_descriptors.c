// Proves that a program whose report goes to a file has no descriptor of besom's.
// expect-leaks: definitely=0/0
#include "leak.h"

int main(void) {
    /* A descriptor that this program was given stays open at exec; besom's would not. */
    for (int fd = 3; fd < 1024; fd++) CHECK(fcntl(fd, F_GETFD) != FD_CLOEXEC);
}
