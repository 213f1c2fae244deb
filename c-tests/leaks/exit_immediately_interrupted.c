// Proves that _exit in a signal handler ends the process also where it interrupted the allocator or a check.
// expect-leaks: definitely=0/0
// reports: some
// options: check_on__exit=1:stop_timeout=100:leak_at_exit=1
// run: allocator
// run: check
// expect-stderr-has: {*}
#include "leak.h"

#include <sys/time.h>

char *blocks[20000];

static void end(int number) { _exit(0); }

static void interrupted(const char *what) {
    struct itimerval soon = {{0, 0}, {0, 2000 + rand() % 3000}};
    signal(SIGALRM, end);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    while (strcmp(what, "check") == 0) besom_leak_check();
    for (unsigned i = 0;; i = (i * 5 + 1) % COUNT_OF(blocks)) {
        free(blocks[i]);
        blocks[i] = (char *)malloc(16 + i % 60000);
    }
}

int main(int count, char **arguments) {
    for (int i = 0; i < 40; i++) {
        srand(i);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) interrupted(arguments[1]);
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
    dprintf(2, "all have ended\n");
}
