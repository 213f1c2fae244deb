// Proves that a sleeping program's caches keep what they hold, and that with scavenge_thread=1 they give it back.
// flags: {so}
#include "test.h"
#include "besom.h"

enum { OBJECTS = 20000, OBJECT_BYTES = 64, LEAST_BYTES = 64 << 10 };

static size_t cached_bytes(void) {
    struct besom_stats stats = {.size = sizeof stats};
    CHECK(besom_stats(&stats) == 0);
    return stats.cached_bytes;
}

/* Fills the caches and sleeps; the status is whether they still hold more than half of that after `seconds`. */
static int sleeper(size_t seconds) {
    static void *objects[OBJECTS];
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(OBJECT_BYTES);
        CHECK(objects[i] != NULL);
    }
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    size_t filled = cached_bytes();
    CHECK_AT(filled >= LEAST_BYTES, filled, LEAST_BYTES);
    for (size_t i = 0; i < seconds * 10 && cached_bytes() > filled / 2; i++) usleep(100000);
    return cached_bytes() > filled / 2;
}

static int run(const char *options, const char *seconds) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char all[256];
        const char *given = getenv("BESOM_OPTIONS");
        snprintf(all, sizeof all, "%s:%s", given ? given : "", options);
        setenv("BESOM_OPTIONS", all, 1);
        execl("/proc/self/exe", "sleeper", seconds, (char *)NULL);
        _exit(127);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    if (argc > 1) return sleeper(strtoul(argv[1], NULL, 10));
    CHECK(run("scavenge_thread=0", "3") == 1);
    CHECK(run("scavenge_thread=1", "120") == 0);
}
