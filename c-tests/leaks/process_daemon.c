// Proves that a process that goes into the background is checked when it ends.
// expect-leaks: definitely=40/1
// expect-exit: 0
#include "leak.h"

int main(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ends[0]);
        setsid();
        if (fork() != 0) _exit(0);
        /* Closed only by the end of the process. */
        lose(40);
        return 0;
    }
    close(ends[1]);
    char byte;
    CHECK(read(ends[0], &byte, 1) == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    _exit(0);
}
