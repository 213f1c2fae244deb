// Proves that what a thread allocates between disable and enable is not reported, nested or not, and only there.
// expect-leaks: definitely=24/3
// flags: -pthread
#include "leak.h"

static void *work(void *unused) {
    lose(8);
    return unused;
}

int main(void) {
    __lsan_disable();
    lose(100);
    besom_leak_disable();
    lose(101);
    CHECK(pthread_join(start(work, NULL), NULL) == 0);
    __lsan_enable();
    lose(102);
    besom_leak_enable();
    lose(8);
    __lsan_disable();
    __lsan_enable();
    lose(8);
}
