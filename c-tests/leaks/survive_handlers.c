// Proves that a program with handlers for every signal is checked, and none of its handlers runs for it.
// expect-leaks: definitely=0/0
// expect-leaks: definitely=9/1
// expect-exit: 23
// flags: -pthread
#include "leak.h"

static volatile int handled;

static void on_signal(int number) { handled = number; }

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

static void at_end(void) { CHECK(handled == 0); }

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    for (int number = 1; number < 65; number++) sigaction(number, &action, NULL);
    CHECK(atexit(at_end) == 0);
    start(hold, NULL);
    await(1);
    wipe_stack();
    CHECK(besom_leak_check() == 0);
    CHECK(handled == 0);
    lose(9);
}
