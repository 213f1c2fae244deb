// Proves that the result of a thread that nobody has joined yet keeps its block.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

static void *work(void *unused) {
    arrive();
    return make(40);
}

static NOINLINE void launch(void) { start(work, NULL); }

int main(void) {
    launch();
    await(1);
    usleep(200000);
}
