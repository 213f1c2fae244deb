// Runs one command and says what it cost: measure FILE PRELOAD COMMAND [ARGUMENTS]
//
// Writes "wall_ns user_us system_us max_rss_kib minor_faults exit_status" to FILE. Linked statically and tiny:
// the kernel counts the launcher's own peak into the child's ru_maxrss, so a launcher of the size of the
// bench runner would hide every small program's memory. PRELOAD may be "-" for none; it is set in the child only.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc < 4) return 125;
    if (strcmp(argv[2], "-") != 0) setenv("LD_PRELOAD", argv[2], 1);
    unsigned long long start = now_ns();
    pid_t child = vfork();
    if (child < 0) return 125;
    if (child == 0) {
        execvp(argv[3], argv + 3);
        _exit(errno == ENOENT ? 127 : 126);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return 125;
    }
    unsigned long long wall = now_ns() - start;
    // RUSAGE_CHILDREN holds the largest peak among the child and all descendants it waited for (gcc's cc1).
    struct rusage use;
    getrusage(RUSAGE_CHILDREN, &use);
    FILE *out = fopen(argv[1], "w");
    if (!out) return 125;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(out, "%llu %lld %lld %ld %ld %d\n", wall, use.ru_utime.tv_sec * 1000000ll + use.ru_utime.tv_usec,
            use.ru_stime.tv_sec * 1000000ll + use.ru_stime.tv_usec, use.ru_maxrss, use.ru_minflt, code);
    return fclose(out) ? 125 : code;
}
