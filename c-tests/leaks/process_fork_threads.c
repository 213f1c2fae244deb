// Proves that in a child of a program with threads only the one that forked counts: others' stacks keep nothing.
// expect-leaks: definitely=0/0
// expect-leaks: definitely=40/1
// expect-exit: 0
// flags: -pthread
#include "leak.h"

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    start(hold, NULL);
    await(1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) exit(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 23);
}
