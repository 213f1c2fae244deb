// Proves that exit ends the program, statistics and all, while other threads go on allocating.
// options: stats=1
// flags: -pthread
// expect-stderr-has: besom: {*}
#include "test.h"

static void *run(void *unused) {
    (void)unused;
    for (size_t i = 0;; i++) free(malloc(i % 50000));
}

int main(void) {
    pthread_t thread;
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
    for (int i = 0; i < 2000; i++) free(malloc((size_t)i * 100));
    exit(0);
}
