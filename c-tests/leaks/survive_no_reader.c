// Proves that a report which nobody reads costs the program neither its life nor the result.
// options: leak=1:trace=1
// expect-exit: 23
#include "leak.h"

#include <signal.h>

/* The same program with a standard error that nobody reads. */
static void start_again(char *name) {
    int ends[2];
    CHECK(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
    close(ends[0]);
    close(ends[1]);
    execl("/proc/self/exe", name, "again", NULL);
}

int main(int argc, char **argv) {
    if (argc == 1) start_again(argv[0]);
    lose(40);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
    /* A signal that waits already is the program's. */
    sigset_t pipes, waiting;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    CHECK(sigprocmask(SIG_BLOCK, &pipes, NULL) == 0 && raise(SIGPIPE) == 0);
    CHECK(besom_leak_check() == 1);
    CHECK(sigpending(&waiting) == 0 && sigismember(&waiting, SIGPIPE));
}
