// Proves that a report goes where standard error led at the start, if the program has closed it and one of its own files
// has got the number.
// reports: text
// expect-exit: 0
// expect-stderr-has: SUMMARY: besom: 9 byte(s) leaked in 1 allocation(s).
#include "leak.h"
#include <sys/stat.h>

int main(void) {
    char path[] = "/tmp/besom-reopened-XXXXXX";
    CHECK(close(mkstemp(path)) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(2);
        if (open(path, O_WRONLY) != 2 || write(2, "mine", 4) != 4) return 98;
        lose(9);
        return 0;
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_AT(WIFEXITED(status) && WEXITSTATUS(status) == 23, status, 0);
    struct stat file;
    CHECK(stat(path, &file) == 0 && unlink(path) == 0);
    CHECK_AT(file.st_size == 4, file.st_size, 4);
}
