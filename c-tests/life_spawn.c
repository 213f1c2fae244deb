// Proves that vfork with exec, posix_spawn, system and popen work under load, and that the children run on besom, too;
// that a child of vfork may allocate and free, and that posix_spawn's file actions work.
// flags: -pthread
#include "test.h"
#include <spawn.h>

extern char **environ;
static volatile int stop;
static void *by_child[300];

static void *load(void *unused) {
    (void)unused;
    for (size_t i = 0; !stop; i++) free(malloc(i * 29 % 200000));
    return NULL;
}

static void succeeds(pid_t pid) {
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_AT(status == 0, status, pid);
}

static void by_vfork(char *const *arguments) {
    pid_t pid = vfork();
    if (pid == 0) {
        /* The parent's memory: what stays allocated here is the parent's to free. */
        for (size_t i = 0; i < COUNT_OF(by_child); i++) {
            free(malloc(i * 61));
            by_child[i] = malloc(i + 1);
            fill(by_child[i], i + 1, i);
        }
        execv(arguments[0], arguments);
        _exit(127);
    }
    for (size_t i = 0; i < COUNT_OF(by_child); i++) {
        CHECK_AT(is_filled(by_child[i], i + 1, i), by_child[i], i);
        free(by_child[i]);
    }
    succeeds(pid);
}

static void by_posix_spawn(char *const *arguments) {
    pid_t pid = -1;
    CHECK(posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ) == 0);
    succeeds(pid);
}

/* The child's output goes into a pipe, by actions that posix_spawn keeps in allocated memory. */
static void with_file_actions(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, ends[0]) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, ends[1]) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0);
    pid_t pid = -1;
    char *arguments[] = {"sh", "-c", "cat && echo done", NULL};
    CHECK(posix_spawnp(&pid, "sh", &actions, NULL, arguments, environ) == 0);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    close(ends[1]);
    char said[8] = "";
    CHECK(read(ends[0], said, 5) == 5 && strcmp(said, "done\n") == 0);
    close(ends[0]);
    succeeds(pid);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        Dl_info info;
        CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0 && strstr(info.dli_fname, "libbesom") != NULL);
        free(malloc(100));
        return 0;
    }
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, load, NULL) == 0);
    char *arguments[] = {"/proc/self/exe", "child", NULL};
    for (int i = 0; i < 60; i++) {
        by_vfork(arguments);
        by_posix_spawn(arguments);
    }
    for (int i = 0; i < 10; i++) {
        with_file_actions();
        CHECK(system("exit 0") == 0);
        char word[8] = "";
        FILE *pipe = popen("echo spawn", "r");
        CHECK(pipe != NULL && fread(word, 1, 6, pipe) == 6 && pclose(pipe) == 0);
        CHECK(strcmp(word, "spawn\n") == 0);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}
