/* System calls that fail from here on, as under the filter of a container. */
#ifndef BESOM_C_TESTS_FORBID_H
#define BESOM_C_TESTS_FORBID_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* Makes the system calls in `numbers` fail with `error`, in all threads. Filters add up. */
static inline void forbid(const int *numbers, size_t count, int error) {
    struct sock_filter filter[40];
    size_t n = 0;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    CHECK(count < COUNT_OF(filter) - 3);
    for (size_t i = 0; i < count; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i],
                                                   (unsigned char)(count - i), 0);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error);
    struct sock_fprog program = {(unsigned short)n, filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

/* No process and no thread can be made any more: checks are made in place. */
static inline void forbid_children(void) {
    const int calls[] = {
        SYS_clone, SYS_clone3,
#ifdef SYS_fork
        SYS_fork,
#endif
    };
    forbid(calls, COUNT_OF(calls), EAGAIN);
}

/* This process's memory can't be read through the kernel. */
static inline void forbid_reading(void) {
    const int calls[] = {SYS_process_vm_readv};
    forbid(calls, COUNT_OF(calls), EPERM);
}

#endif
