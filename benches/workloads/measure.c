// Runs one command and says what it cost: measure FILE PRELOAD COMMAND [ARGUMENTS]
//
// Writes "wall_ns user_us system_us max_rss_kib minor_faults exit_status" to FILE. Linked statically and tiny:
// the kernel counts the launcher's own peak into the child's ru_maxrss, so a launcher of the size of the
// bench runner would hide every small program's memory. PRELOAD may be "-" for none; it is set in the child only.
//
// BENCH_WARM_KIB in the environment: before, so much memory is touched and given back. The host of a virtual machine
// may take memory that lay free for seconds (virtio-balloon's free page reporting), and who touches it first waits
// for the host, up to twenty times as long as for the kernel. What is measured would hang on who ran before.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

int main(int argc, char **argv) {
    if (argc < 4) return 125;
    const char *warm_kib = getenv("BENCH_WARM_KIB");
    if (warm_kib) warm(strtoull(warm_kib, NULL, 10) << 10);
    unsetenv("BENCH_WARM_KIB");
    if (strcmp(argv[2], "-") != 0) setenv("LD_PRELOAD", argv[2], 1);
    unsigned long long start = now_ns();
    pid_t child = vfork();
    if (child < 0) return 125;
    if (child == 0) {
        execvp(argv[3], argv + 3);
        _exit(errno == ENOENT ? 127 : 126);
    }
    // What wait4 tells holds the largest peak among the child and all descendants it waited for (gcc's cc1).
    int status = 0;
    struct rusage use;
    while (wait4(child, &status, 0, &use) < 0) {
        if (errno != EINTR) return 125;
    }
    unsigned long long wall = now_ns() - start;
    FILE *out = fopen(argv[1], "w");
    if (!out) return 125;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(out, "%llu %lld %lld %ld %ld %d\n", wall, use.ru_utime.tv_sec * 1000000ll + use.ru_utime.tv_usec,
            use.ru_stime.tv_sec * 1000000ll + use.ru_stime.tv_usec, use.ru_maxrss, use.ru_minflt, code);
    return fclose(out) ? 125 : code;
}
