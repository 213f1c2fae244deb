// Proves that a result that was thrown away in joining is lost.
// expect-leaks: definitely=200/5
// flags: -pthread
#include "leak.h"

static void *work(void *unused) { return make(40); }

int main(void) {
    for (int i = 0; i < 5; i++) CHECK(pthread_join(start(work, NULL), NULL) == 0);
}
