// What a preloaded library adds to the start and the end of a short program: startup PRELOAD COUNT PROGRAM [ARGUMENTS]
//
// Starts PROGRAM COUNT times and prints
//   result <ns of the median start, from vfork to its end> <COUNT>
//   private <bytes>    anonymous memory that the program holds when it exits, median of a tenth as many starts
//   resident <bytes>   the same with the pages of files, most of which processes share
// PRELOAD may be "-" for none; it is set in the children only. Linked statically, like measure.c.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_STARTS = 10000 };

static void die(const char *what) {
    fprintf(stderr, "startup: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    unsigned long long x = *(const unsigned long long *)a, y = *(const unsigned long long *)b;
    return (x > y) - (x < y);
}

static unsigned long long median(unsigned long long *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

static unsigned long long timed(char **command) {
    unsigned long long start = now_ns();
    pid_t child = vfork();
    if (child < 0) die("vfork");
    if (child == 0) {
        execv(command[0], command);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) die("the program failed");
    return now_ns() - start;
}

// The value of a line of a /proc file in bytes.
static unsigned long long field(const char *text, const char *name) {
    const char *line = strstr(text, name);
    if (!line) die(name);
    return strtoull(line + strlen(name), NULL, 10) * 1024;
}

// Stops the program where it exits and reads what it holds there.
static void held_at_exit(char **command, unsigned long long *private, unsigned long long *resident) {
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(command[0], command);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) die("ptrace");
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL))) die("ptrace");
    if (ptrace(PTRACE_CONT, child, NULL, NULL)) die("ptrace");
    if (waitpid(child, &status, 0) != child || status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8)) die("no stop at exit");
    char path[64], text[4096] = {0};
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", child);
    FILE *file = fopen(path, "r");
    if (!file || fread(text, 1, sizeof text - 1, file) == 0) die(path);
    fclose(file);
    *private = field(text, "\nAnonymous:"), *resident = field(text, "\nRss:");
    if (ptrace(PTRACE_CONT, child, NULL, NULL)) die("ptrace");
    if (waitpid(child, &status, 0) != child) die("waitpid");
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: startup PRELOAD|- COUNT PROGRAM [ARGUMENTS]\n"), 2;
    size_t count = strtoul(argv[2], NULL, 10), looks = count / 10 + 1;
    if (count == 0 || count > MAX_STARTS) return fprintf(stderr, "startup: 1 to %d starts\n", MAX_STARTS), 2;
    static unsigned long long times[MAX_STARTS], private[MAX_STARTS], resident[MAX_STARTS];
    if (strcmp(argv[1], "-") != 0) setenv("LD_PRELOAD", argv[1], 1);
    for (size_t i = 0; i < count; i++) times[i] = timed(argv + 3);
    for (size_t i = 0; i < looks; i++) held_at_exit(argv + 3, &private[i], &resident[i]);
    printf("result %llu %zu\nprivate %llu\nresident %llu\n", median(times, count), count, median(private, looks),
           median(resident, looks));
    return 0;
}
