// Proves that thread-local variables of the program keep blocks, the main thread's and another's.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

__thread void *kept;
__thread void *kept_too = (void *)1;

static NOINLINE void keep(void) {
    kept = make(40);
    kept_too = make(41);
}

static void *hold(void *unused) {
    keep();
    wipe_stack();
    stay();
    return unused;
}

int main(void) {
    keep();
    start(hold, NULL);
    await(1);
}
