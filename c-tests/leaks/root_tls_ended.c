// Proves that thread-local variables of threads that have ended keep nothing.
// expect-leaks: definitely=400/10
// flags: -pthread
#include "leak.h"

__thread void *kept;

static void *work(void *unused) {
    kept = make(40);
    return unused;
}

int main(void) {
    for (int i = 0; i < 10; i++) CHECK(pthread_join(start(work, NULL), NULL) == 0);
}
