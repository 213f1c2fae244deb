// Proves that a handler of pthread_atfork may fork itself, whenever it was registered; the children allocate.
// flags: -pthread
#include "test.h"

static int depth;

static void fork_again(void) {
    if (depth > 0) return;
    depth++;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        for (size_t bytes = 1; bytes < 3 * MIB; bytes *= 2) free(malloc(bytes));
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    depth--;
}

static void register_handlers(void) { CHECK(pthread_atfork(fork_again, fork_again, fork_again) == 0); }

/* Before the constructor of any library. */
__attribute__((section(".preinit_array"), used)) static void (*const before_all)(void) = register_handlers;

int main(void) {
    alarm(60);
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            free(malloc(100000));
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
}
