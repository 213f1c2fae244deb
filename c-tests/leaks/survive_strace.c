// Proves that the check works under a tracer, which is itself checked.
// under: strace -f -qq -o /dev/null
// expect-leaks: definitely=0/0
// expect-leaks: definitely=9/1
// expect-exit: 23
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
    lose(9);
}
