// Proves that a program whose fragmented heap exceeds 48 MiB stays below with limit=48MiB, with and without a scavenger
// thread, and with limit=auto in a control group of that size; without a limit the same program must exceed it.
#include "test.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Memory that is not the heap's: the program's own, besom's tables. */
enum { LIMIT_BYTES = 48 << 20, OTHER_BYTES = 5 << 20, OBJECTS = 4000, FULL_BYTES = 40 << 20 };

static struct { char *at; size_t bytes; } objects[OBJECTS];
static size_t count, live, most;

static void sample(void) {
    size_t now = resident_bytes();
    if (now > most) most = now;
}

static void make(size_t bytes) {
    CHECK(count < OBJECTS);
    objects[count].at = malloc(bytes);
    CHECK(objects[count].at != NULL);
    memset(objects[count].at, 1, bytes);
    objects[count++].bytes = bytes;
    live += bytes;
}

static void drop(size_t i) {
    live -= objects[i].bytes;
    free(objects[i].at);
    objects[i] = objects[--count];
}

/* Each phase needs larger runs than the ones before, so that the holes they have left between survivors fit nobody;
   over and over, so that what was given back is missed and more would be kept. */
static void fragment(void) {
    uint64_t random = 7;
    size_t before = resident_bytes();
    for (size_t i = 0, bytes = 0; i < 60; i++) {
        bytes = i % 12 ? bytes + bytes / 2 : 40000;
        for (size_t last = live; live + bytes < FULL_BYTES;) {
            make(bytes);
            if (live - last > MIB) last = live, sample();
        }
        for (size_t left = count / 4; count > left;) drop(next_random(&random) % count);
        sample();
    }
    most -= before;
}

/* Puts a directory with a limit over the control groups' in a mount namespace of this process's own; 0 if it may not. */
static int enter_cgroup(void) {
    char limit[32], directory[] = "/tmp/besom-cgroup-XXXXXX", path[64];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return 0;
    CHECK(mkdtemp(directory) != NULL);
    if (mount("tmpfs", directory, "tmpfs", 0, NULL) != 0) return rmdir(directory), 0;
    /* In both versions' places. */
    snprintf(path, sizeof path, "%s/memory", directory);
    CHECK(mkdir(path, 0755) == 0);
    const char *names[] = {"memory.max", "memory/memory.limit_in_bytes"};
    /* Of which limit=auto takes 90 %. */
    int length = snprintf(limit, sizeof limit, "%d\n", LIMIT_BYTES / 9 * 10);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        CHECK(fd >= 0 && write(fd, limit, (size_t)length) == length && close(fd) == 0);
    }
    int moved = mount(directory, "/sys/fs/cgroup", NULL, MS_MOVE, NULL) == 0;
    if (!moved) umount(directory);
    rmdir(directory);
    return moved;
}

enum { KEPT, EXCEEDED, NOT_ALLOWED };

/* Runs this program with more options; what became of the limit. */
static int run(const char *options, int in_cgroup) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char all[256];
        const char *given = getenv("BESOM_OPTIONS");
        snprintf(all, sizeof all, "%s:%s", given ? given : "", options);
        setenv("BESOM_OPTIONS", all, 1);
        if (in_cgroup && !enter_cgroup()) _exit(NOT_ALLOWED);
        execl("/proc/self/exe", "fragmented", "run", (char *)NULL);
        _exit(127);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        fragment();
        SAY_NUMBER("most_mib", most / MIB);
        return most > LIMIT_BYTES + OTHER_BYTES ? EXCEEDED : KEPT;
    }
    CHECK(run("limit=0", 0) == EXCEEDED);
    CHECK(run("limit=48MiB", 0) == KEPT);
    CHECK(run("limit=48MiB:scavenge_thread=1", 0) == KEPT);
    int automatic = run("limit=auto", 1);
    if (automatic == NOT_ALLOWED) SAY_TEXT("limit_auto", "not tried, since this process may not mount anything");
    else CHECK(automatic == KEPT);
}
