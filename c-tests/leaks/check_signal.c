// Proves that leak_signal= makes a check when the signal comes.
// expect-leaks: definitely=40/1
// options: leak_signal=USR2:leak_at_exit=0
// expect-exit: 0
#include "leak.h"

int main(void) {
    lose(40);
    wipe_stack();
    CHECK(kill(getpid(), SIGUSR2) == 0);
    await_report();
}
