// Proves that parent and child report for themselves, the child also what its parent had lost before.
// expect-leaks: definitely=50/2
// expect-leaks: definitely=72/3
// expect-exit: 23
#include "leak.h"

int main(void) {
    lose(10);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        lose(30);
        lose(32);
        return 0;
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 23);
    lose(40);
}
