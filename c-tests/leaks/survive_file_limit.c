// Proves that a report for which a file has no room costs the program neither its life nor the result.
// options: leak=1:trace=1
// expect-exit: 23
#include "leak.h"

#include <sys/resource.h>

/* The same program with a standard error that takes ten bytes. */
static void start_again(char *name) {
    char path[] = "/tmp/besom-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && unlink(path) == 0 && dup2(fd, 2) == 2);
    struct rlimit few = {10, 10};
    CHECK(setrlimit(RLIMIT_FSIZE, &few) == 0);
    execl("/proc/self/exe", name, "again", NULL);
}

int main(int argc, char **argv) {
    if (argc == 1) start_again(argv[0]);
    lose(40);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
}
