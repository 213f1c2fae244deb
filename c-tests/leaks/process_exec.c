// Proves that a child that only executes another program reports nothing, and that program for itself.
// expect-leaks: definitely=8/1
// expect-leaks: definitely=40/1
// expect-exit: 23
#include "leak.h"

int main(int count, char **arguments) {
    if (count > 1) {
        lose(8);
        return 0;
    }
    lose(40);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        lose(16);
        execl("/proc/self/exe", arguments[0], "inner", (char *)NULL);
        _exit(1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 23);
}
