// Proves that vfork with exec, posix_spawn, system and popen work under load, and that the children run on besom, too.
// flags: -pthread
#include "test.h"
#include <spawn.h>

extern char **environ;
static volatile int stop;

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
        execv(arguments[0], arguments);
        _exit(127);
    }
    succeeds(pid);
}

static void by_posix_spawn(char *const *arguments) {
    pid_t pid = -1;
    CHECK(posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ) == 0);
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
        CHECK(system("exit 0") == 0);
        char word[8] = "";
        FILE *pipe = popen("echo spawn", "r");
        CHECK(pipe != NULL && fread(word, 1, 6, pipe) == 6 && pclose(pipe) == 0);
        CHECK(strcmp(word, "spawn\n") == 0);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}
