/* What the programs about leaks share. They also run without besom, for comparison with other tools. */
#ifndef BESOM_C_TESTS_LEAK_H
#define BESOM_C_TESTS_LEAK_H

#include "../test.h"
#include <sys/stat.h>
#include <sys/syscall.h>
#include "besom.h"

#define NOINLINE __attribute__((noinline))
#define WEAK __attribute__((weak))

#pragma weak besom_leak_is_on
#pragma weak besom_leak_check
#pragma weak besom_leak_check_summary
#pragma weak besom_leak_ignore
#pragma weak besom_leak_disable
#pragma weak besom_leak_enable
#pragma weak besom_register_root_region
#pragma weak besom_unregister_root_region
#pragma weak besom_malloc_noscan
#pragma weak besom_stats

#ifdef __cplusplus
extern "C" {
#endif
/* <sanitizer/lsan_interface.h>, weak. */
WEAK void __lsan_disable(void);
WEAK void __lsan_enable(void);
WEAK void __lsan_ignore_object(const void *p);
WEAK void __lsan_register_root_region(const void *p, size_t size);
WEAK void __lsan_unregister_root_region(const void *p, size_t size);
WEAK void __lsan_do_leak_check(void);
WEAK int __lsan_do_recoverable_leak_check(void);
#ifdef __cplusplus
}
#endif

/* Pages of the kernel. */
#define KERNEL_PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* A block with contents that are no addresses. */
static NOINLINE void *make(size_t bytes) {
    void *p = malloc(bytes);
    CHECK(p != NULL);
    memset(p, 1, bytes);
    OPAQUE(p);
    return p;
}

/* Allocates a block and forgets it. */
static NOINLINE void lose(size_t bytes) {
    void *p = make(bytes);
    OPAQUE(p);
}

/* A pointer in a form that no tool looks for, and back. */
static inline uintptr_t hide(const void *p) { return ~(uintptr_t)p; }
static inline void *reveal(uintptr_t hidden) { return (void *)~hidden; }

/* A new block whose address only the caller will have, hidden. */
static NOINLINE uintptr_t make_hidden(size_t bytes) { return hide(make(bytes)); }

/* Overwrites what earlier calls have left on the stack and in vector registers, which may be taken for live by
   a check made from here: the allocator itself moves addresses in these. */
static NOINLINE void wipe_stack(void) {
    char dead[16 * KIB];
    memset(dead, 0, sizeof dead);
    char *p = dead;
    OPAQUE(p);
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroall" ::: "memory");
    /* The upper sixteen, which `vzeroall` leaves and libc copies by. Code for any x86-64 has nothing in them. */
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile(".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
                         "vpxorq %%zmm\\n, %%zmm\\n, %%zmm\\n\n\t"
                         ".endr" ::
                             : "memory");
#endif
}

/* Waits until besom has written this process's report: checks by signal, interval and growth run aside. */
static inline void await_report(void) {
    char path[4096];
    const char *options = getenv("BESOM_OPTIONS");
    const char *start = options == NULL ? NULL : strstr(options, "log_path=");
    CHECK(start != NULL);
    start += strlen("log_path=");
    snprintf(path, sizeof path, "%.*s.%d", (int)strcspn(start, ":"), start, (int)getpid());
    struct stat status;
    for (int i = 0; stat(path, &status) != 0 || status.st_size == 0; i++) {
        CHECK(i < 6000);
        usleep(10000);
    }
    usleep(10000);
}

/* Threads that have come to where they stay until the end. */
volatile int arrived;
static inline void arrive(void) { __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST); }
static inline void await(int threads) {
    while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < threads) usleep(1000);
}

/* Never set, which the compiler can't know. */
volatile int may_go;

/* Stays here until the end, without moving on at signals. */
static inline void stay(void) {
    arrive();
    while (!may_go) pause();
}

static inline pthread_t start(void *(*function)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, argument) == 0);
    return thread;
}

/* A node with one pointer out and a payload: 40 bytes. */
struct node {
    struct node *next;
    char payload[32];
};

static NOINLINE struct node *make_node(struct node *next) {
    struct node *node = (struct node *)make(sizeof *node);
    node->next = next;
    return node;
}

#endif
