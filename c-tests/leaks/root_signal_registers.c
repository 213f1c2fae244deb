// Proves that the registers that a signal's frame saved keep blocks.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

uintptr_t hidden;
static volatile int spinning;

static void on_signal(int number) {
    wipe_stack();
    stay();
}

static void *hold(void *unused) {
    wipe_stack();
#ifdef __x86_64__
    __asm__ volatile(
        "movq %1, %%r13\n\tnotq %%r13\n\t"
        "movl $1, %0\n"
        "1:\tpause\n\tjmp 1b"
        : "=m"(spinning)
        : "m"(hidden)
        : "r13", "memory");
#else
    void *volatile p = reveal(hidden);
    spinning = 1;
    for (;;) OPAQUE(unused);
#endif
    return unused;
}

int main(void) {
    signal(SIGUSR1, on_signal);
    hidden = make_hidden(40);
    pthread_t thread = start(hold, NULL);
    while (!spinning) usleep(1000);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    await(1);
}
