// Proves that the stack of a thread that blocks every signal is searched.
// expect-leaks: definitely=9/1
// flags: -pthread
#include "leak.h"

static void *hold(void *unused) {
    /* Not through libc, which leaves its own signals open. */
    uint64_t all = ~0ull;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    for (int i = 0; i < 3; i++) start(hold, NULL);
    await(3);
    usleep(50000);
    lose(9);
}
