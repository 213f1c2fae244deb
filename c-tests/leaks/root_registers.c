// Proves that a register of a blocked thread keeps a block.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

uintptr_t hidden;

static void *hold(void *unused) {
    wipe_stack();
#ifdef __x86_64__
    /* pause(), again and again; the address is nowhere but in r12. */
    __asm__ volatile(
        "movq %1, %%r12\n\tnotq %%r12\n\t"
        "lock incl %0\n"
        "1:\tmovl $34, %%eax\n\tsyscall\n\tjmp 1b"
        : "+m"(arrived)
        : "m"(hidden)
        : "rax", "rcx", "r11", "r12", "xmm9", "memory");
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
