// Proves that leak_signal= makes a check also if the program blocks every signal and waits for its own.
// expect-leaks: definitely=40/1
// options: leak_signal=USR2:leak_at_exit=0
// expect-exit: 0
#include "leak.h"

int main(void) {
    sigset_t all, own;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
    lose(40);
    wipe_stack();
    CHECK(kill(getpid(), SIGUSR2) == 0);
    await_report();
    /* The others are for the program. */
    sigemptyset(&own);
    sigaddset(&own, SIGTERM);
    CHECK(kill(getpid(), SIGTERM) == 0);
    int number;
    CHECK(sigwait(&own, &number) == 0 && number == SIGTERM);
}
