// Runs one command and says what it cost: measure FILE PRELOAD COMMAND [ARGUMENTS]
//
// Writes "wall_ns user_us system_us max_rss_kib minor_faults exit_status" to FILE. Linked statically and tiny:
// the kernel counts the launcher's own peak into the child's ru_maxrss, so a launcher of the size of the
// bench runner would hide every small program's memory. PRELOAD may be "-" for none; it is set in the child only.
//
// BENCH_EXACT in the environment: the peak is counted page by page. The kernel's own ru_maxrss is put together from
// counters for each processor and kind of page, which join the sum only when 32 pages or more have gathered, so that a
// small program's peak comes out some hundred KiB too low, in steps of 128. Here every process is stopped before each
// call that may give memory back, and when it exits, and its page tables are walked. That takes time: the times
// that come out are of no use, and what an allocator does by the clock it does earlier. Descendants that are left
// when the command ends are killed. 125 if that is not allowed.
//
// BENCH_WARM_KIB in the environment: before, so much memory is touched and given back. The host of a virtual machine
// may take memory that lay free for seconds (virtio-balloon's free page reporting), and who touches it first waits
// for the host, up to twenty times as long as for the kernel. What is measured would hang on who ran before.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

// In a process of its own, whose memory counts for nobody, and which is the first to go if memory runs out. Huge
// pages, for those lie free longest.
static void warm(size_t bytes) {
    pid_t child = fork();
    if (child < 0) return;
    if (child == 0) {
        int score = open("/proc/self/oom_score_adj", O_WRONLY);
        if (score >= 0 && write(score, "1000", 4) < 0) _exit(1);
        char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) _exit(1);
        madvise(memory, bytes, MADV_HUGEPAGE);
        for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
        _exit(0);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
}

// Has the kernel stop this process and its descendants before each call that may give memory back.
static int stop_before_releases(void) {
#define STOP_BEFORE(name) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE)
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        STOP_BEFORE(munmap),
        STOP_BEFORE(madvise),
        STOP_BEFORE(mremap),
        STOP_BEFORE(mmap),
        STOP_BEFORE(brk),
        STOP_BEFORE(process_madvise),
        STOP_BEFORE(execve),
        STOP_BEFORE(execveat),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static _Noreturn void become(char **command) {
    execvp(command[0], command);
    _exit(errno == ENOENT ? 127 : 126);
}

static pid_t start_free(char **command) {
    pid_t child = vfork();
    if (child == 0) become(command);
    return child;
}

// The child waits for a byte from `go`, so that it can be traced from its first step.
static pid_t start_traced(char **command, int go[2]) {
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(go[1]);
        if (read(go[0], &byte, 1) != 1 || !stop_before_releases()) _exit(125);
        become(command);
    }
    return child;
}

// Resident KiB of a stopped process if that may be more than `known`: looked up in its page tables.
static long resident_kib(pid_t pid, long known) {
    // Of each kind of page (file, anonymous, shared) on each processor.
    long cpus = sysconf(_SC_NPROCESSORS_CONF), page_kib = sysconf(_SC_PAGESIZE) / 1024;
    long may_be_off_kib = 3 * cpus * (2 * cpus > 32 ? 2 * cpus : 32) * page_kib;
    char name[64], line[256];
    long pages = 0, kib = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(name, "r");
    if (!file) return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    fclose(file);
    if (pages * page_kib + may_be_off_kib < known) return 0;
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", (int)pid);
    if (!(file = fopen(name, "r"))) return 0;
    while (fgets(line, sizeof line, file) && sscanf(line, "Rss: %ld", &kib) != 1) {}
    fclose(file);
    return kib;
}

// Lets `child` go by a byte to `go`, waits for it, and finds the largest peak of it and all its descendants.
// 0 if it can't be traced.
static long exact_peak_kib(pid_t child, int go, int *status, struct rusage *use) {
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, child, 0, options) != 0 || write(go, ".", 1) != 1) {
        kill(child, SIGKILL);
        return 0;
    }
    long peak = 0;
    for (;;) {
        pid_t stopped = wait4(-1, status, __WALL, use);
        if (stopped < 0) {
            if (errno == EINTR) continue;
            return 0;
        }
        if (!WIFSTOPPED(*status)) {
            if (stopped == child) return peak;
            continue;
        }
        int event = *status >> 16;
        if (event == PTRACE_EVENT_SECCOMP || event == PTRACE_EVENT_EXIT) {
            long kib = resident_kib(stopped, peak);
            if (kib > peak) peak = kib;
        }
        int is_group_stop = event == PTRACE_EVENT_STOP && WSTOPSIG(*status) != SIGTRAP;
        // What stops for no event has got a signal, which goes on to it.
        if (is_group_stop) ptrace(PTRACE_LISTEN, stopped, 0, 0);
        else ptrace(PTRACE_CONT, stopped, 0, event ? 0 : WSTOPSIG(*status));
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return 125;
    const char *warm_kib = getenv("BENCH_WARM_KIB");
    int is_exact = getenv("BENCH_EXACT") != NULL, go[2];
    if (is_exact && pipe2(go, O_CLOEXEC) != 0) return 125;
    if (warm_kib && !is_exact) warm(strtoull(warm_kib, NULL, 10) << 10);
    unsetenv("BENCH_WARM_KIB");
    unsetenv("BENCH_EXACT");
    if (strcmp(argv[2], "-") != 0) setenv("LD_PRELOAD", argv[2], 1);
    unsigned long long start = now_ns();
    pid_t child = is_exact ? start_traced(argv + 3, go) : start_free(argv + 3);
    if (child < 0) return 125;
    // What wait4 tells holds the largest peak among the child and all descendants it waited for (gcc's cc1).
    int status = 0;
    struct rusage use;
    if (is_exact) {
        long peak = exact_peak_kib(child, go[1], &status, &use);
        if (peak == 0) return 125;
        use.ru_maxrss = peak;
    } else {
        while (wait4(child, &status, 0, &use) < 0) {
            if (errno != EINTR) return 125;
        }
    }
    unsigned long long wall = now_ns() - start;
    FILE *out = fopen(argv[1], "w");
    if (!out) return 125;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(out, "%llu %lld %lld %ld %ld %d\n", wall, use.ru_utime.tv_sec * 1000000ll + use.ru_utime.tv_usec,
            use.ru_stime.tv_sec * 1000000ll + use.ru_stime.tv_usec, use.ru_maxrss, use.ru_minflt, code);
    return fclose(out) ? 125 : code;
}
