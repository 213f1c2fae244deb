// Proves that the stack of a blocked thread keeps blocks.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    start(hold, NULL);
    await(1);
}
