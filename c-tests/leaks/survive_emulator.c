// Proves that the check has its copy of the process also where children must have SIGCHLD, as under qemu-user: said once.
// expect-leaks: definitely=9/1 reachable=40/1
// expect-leaks: definitely=9/1 reachable=40/1
// expect-stderr: besom: leak checks: as this kernel (an emulator?) makes children, the program gets SIGCHLD for them
// expect-exit: 23
#include "leak.h"
#include "forbid.h"

#include <sched.h>
#include <signal.h>

void *kept;
static volatile sig_atomic_t signals;

static void count(int signal) {
    (void)signal;
    signals++;
}

int main(void) {
    kept = make(40);
    lose(9);
    signal(SIGCHLD, count);
    /* A process like the program's, but for its exit signal. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM | 0xff, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(filter), filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    CHECK(besom_leak_check() == 1);
    CHECK(signals == 1);
}
