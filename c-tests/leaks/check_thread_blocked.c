// Proves that a check on demand searches the stacks of other threads and goes on with them.
// expect-leaks: definitely=24/1
// expect-exit: 23
// options: leak_at_exit=0
// flags: -pthread
#include "leak.h"

static volatile int go_on;

static void *hold(void *unused) {
    void *volatile p = make(40);
    arrive();
    while (!go_on) usleep(1000);
    free(p);
    arrive();
    return NULL;
}

int main(void) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) threads[i] = start(hold, NULL);
    await(8);
    lose(24);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
    go_on = 1;
    for (int i = 0; i < 8; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    return 23;
}
