// Proves that a child can check for itself though it was born while another thread of its parent was checking.
// reports: some
// expect-leaks: definitely=9/1
// expect-exit: 0
// options: leak_at_exit=0
// flags: -pthread
#include "leak.h"

char *many[50000];
static volatile int checks, done;

static void *check_on(void *unused) {
    while (!done) {
        CHECK(besom_leak_check() == 1);
        checks++;
    }
    return NULL;
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(many); i++) many[i] = (char *)make(64);
    lose(9);
    wipe_stack();
    pthread_t thread = start(check_on, NULL);
    while (checks == 0) usleep(1000);
    for (int i = 0; i < 10; i++) {
        /* A check takes most of the thread's time, so most of these are born during one. */
        usleep(500);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) _exit(besom_leak_check() == 1 ? 0 : 1);
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    done = 1;
    pthread_join(thread, NULL);
}
