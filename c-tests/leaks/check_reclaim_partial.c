// Proves that reclaim=1 frees nothing that a thread may hold of which the check has not seen all.
// options: leak=1:reclaim=1:leak_at_exit=0
// expect-stderr-has: besom: not seen: what is lost is not freed: what was not seen may lead to it
// flags: -pthread
#include "leak.h"

uintptr_t hidden[100];
volatile int finished;

static void *hold(void *unused) {
    uint64_t all = ~0ull;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
    wipe_stack();
    arrived = 1;
    /* The addresses might be here, where nobody looks for them. */
    while (!finished) usleep(1000);
    return unused;
}

int main(void) {
    /* Many, since a stale word may hide one. */
    for (int i = 0; i < 100; i++) hidden[i] = make_hidden(400);
    start(hold, NULL);
    await(1);
    usleep(50000);
    wipe_stack();
    for (int i = 0; i < 3; i++) CHECK(besom_leak_check() == 1);
    for (int i = 0; i < 10000; i++) memset(make(400), 2, 400);
    for (int i = 0; i < 100; i++) CHECK(((char *)reveal(hidden[i]))[399] == 1);
    finished = 1;
}
