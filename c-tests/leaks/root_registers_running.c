// Proves that the registers of a thread that runs and makes no call keep a block.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

uintptr_t hidden;

static void *hold(void *unused) {
    wipe_stack();
#ifdef __x86_64__
    __asm__ volatile(
        "movq %1, %%r13\n\tnotq %%r13\n\t"
        "lock incl %0\n"
        "1:\tpause\n\tjmp 1b"
        : "+m"(arrived)
        : "m"(hidden)
        : "r13", "memory");
#else
    void *volatile p = reveal(hidden);
    stay();
#endif
    return unused;
}

int main(void) {
    hidden = make_hidden(40);
    start(hold, NULL);
    await(1);
}
