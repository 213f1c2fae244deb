// Proves that a report for standard error never goes to what the program has opened where besom's copy of it was.
// reports: text
// expect-exit: 0
#include "leak.h"

int main(void) {
    int file = memfd_create("besom-test", 0);
    CHECK(file >= 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int fd = 0; fd < 1024; fd++)
            if (fd != file) close(fd);
        for (int fd = 100; fd < 300; fd++) CHECK(dup2(file, fd) == fd);
        lose(9);
        return 0;
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 23);
    CHECK(lseek(file, 0, SEEK_END) == 0);
}
