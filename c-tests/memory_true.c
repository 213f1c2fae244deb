// Proves that the smallest program, true, holds at most 300 KiB more memory under besom than without it, with all that
// the kernel counts: pages of the library's file too, which all processes share.
#include "test.h"
#include <sys/ptrace.h>

enum { MORE_BYTES = 300 << 10, RUNS = 200 };

/* Runs true with or without the preload, stops it where it exits, and reads what it holds there. */
static size_t held_by_true(const char *preload) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (preload == NULL) unsetenv("LD_PRELOAD");
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    size_t bytes = proc_bytes(path, "\nRss:");
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return bytes;
}

/* The mean: how many of the C library's pages the kernel maps around one differs with its random address. */
static size_t mean(const char *preload) {
    size_t sum = 0;
    for (int i = 0; i < RUNS; i++) sum += held_by_true(preload);
    return sum / RUNS;
}

int main(void) {
    size_t without = mean(NULL), with = mean(getenv("LD_PRELOAD"));
    SAY_NUMBER("more_bytes", with - without);
    CHECK_AT(with <= without + MORE_BYTES, without, with);
}
