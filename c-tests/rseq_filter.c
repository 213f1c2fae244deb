// Proves that a process which forbids itself membarrier, as sandboxes do, goes on: only other CPUs' caches are not emptied any more.
// expect-stderr: besom: membarrier is not allowed any more: caches of idle CPUs keep what they hold (rseq=0 would not)
// skip: locked, without rseq there is nothing to fence
// skip: unregistered, without rseq there is nothing to fence
#include "test.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void forbid_membarrier(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(code), code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

int main(void) {
    unsigned char *kept = malloc(1000);
    fill(kept, 1000, 3);
    forbid_membarrier();
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 200000; n += n / 8 + 1) free(malloc(n));
        malloc_trim(0);
    }
    CHECK(is_filled(kept, 1000, 3));
}
