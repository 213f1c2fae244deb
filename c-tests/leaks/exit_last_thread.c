// Proves that the process is checked when its last thread has ended, long after main's.
// expect-leaks: definitely=16/2
// flags: -pthread
#include "leak.h"

static void *work(void *unused) {
    usleep(100000);
    lose(8);
    return unused;
}

int main(void) {
    lose(8);
    CHECK(pthread_detach(start(work, NULL)) == 0);
    pthread_exit(NULL);
}
