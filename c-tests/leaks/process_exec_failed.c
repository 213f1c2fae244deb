// Proves that a child whose exec failed and that leaves by _exit reports nothing.
// expect-leaks: definitely=40/1
// expect-exit: 23
#include "leak.h"

int main(void) {
    lose(40);
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/nonexistent", "nonexistent", (char *)NULL);
        _exit(5);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
}
