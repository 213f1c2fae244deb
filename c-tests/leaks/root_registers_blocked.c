// Proves that a report names a thread whose registers could not be searched, since it blocks every signal.
// options: leak=1
// expect-exit: 23
// expect-stderr-has: besom: not seen: thread {tid} ({*}) blocks the stop signal: its registers were not searched
// flags: -pthread
#include "leak.h"

uintptr_t hidden;
pid_t tid;

static void *hold(void *unused) {
    uint64_t all = ~0ull;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
    tid = (pid_t)syscall(SYS_gettid);
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
    arrived++;
    for (;;) pause();
#endif
    return unused;
}

int main(void) {
    hidden = make_hidden(40);
    start(hold, NULL);
    await(1);
    usleep(50000);
    SAY_NUMBER("tid", tid);
}
