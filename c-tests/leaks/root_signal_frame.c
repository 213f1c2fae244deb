// Proves that frames below a signal handler keep blocks: a thread that waits inside its handler.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

static void on_signal(int number) { stay(); }

static void *hold(void *unused) {
    void *volatile p = make(40);
    raise(SIGUSR1);
    return p;
}

int main(void) {
    signal(SIGUSR1, on_signal);
    start(hold, NULL);
    await(1);
}
