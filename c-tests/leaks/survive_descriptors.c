// Proves that a program whose report goes to a file has no descriptor of besom's.
// expect-leaks: definitely=0/0
#include "leak.h"

int main(void) {
    for (int fd = 100; fd < 1024; fd++) CHECK(fcntl(fd, F_GETFD) == -1);
}
