// Proves the same for posix_spawn and system, which use vfork.
// expect-leaks: definitely=8/1
// expect-leaks: definitely=8/1
// expect-leaks: definitely=40/1
// expect-exit: 23
#include "leak.h"

#include <spawn.h>

extern char **environ;

int main(int count, char **arguments) {
    if (count > 1) {
        lose(8);
        return 0;
    }
    lose(40);
    char *words[] = {arguments[0], (char *)"inner", NULL};
    for (int i = 0; i < 2; i++) {
        pid_t child;
        int status;
        CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, words, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 23);
    }
}
