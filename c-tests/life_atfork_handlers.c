// Proves that a program's own pthread_atfork handlers can allocate and free, before the fork and on both sides of it.
// flags: -pthread
#include "test.h"

static volatile int stop;
static void *held;

static void prepare(void) { held = malloc(5000); }
static void both(void) {
    free(held);
    held = NULL;
    for (size_t n = 1; n < 500000; n *= 2) free(malloc(n));
}

static void *load(void *unused) {
    (void)unused;
    for (size_t i = 0; !stop; i++) free(malloc(i * 13 % 100000));
    return NULL;
}

int main(void) {
    pthread_t threads[3];
    CHECK(pthread_atfork(prepare, both, both) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, load, NULL) == 0);
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            both();
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}
