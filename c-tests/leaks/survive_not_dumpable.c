// Proves that a process that other processes may not look at is checked like any other.
// expect-leaks: definitely=9/1
// flags: -pthread
#include "leak.h"

#include <sys/prctl.h>

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    start(hold, NULL);
    await(1);
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    lose(9);
}
