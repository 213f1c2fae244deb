// Proves that the check works in a program that a debugger runs.
// preload: no the debugger would be checked as well
// flags: -pthread {a}
// under: gdb -nx -batch -return-child-result -ex run --args
// expect-leaks: definitely=9/1
// expect-leaks: definitely=20/2
// expect-stderr-has: at the end
// expect-exit: 23
#include "leak.h"

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    start(hold, NULL);
    start(hold, NULL);
    await(2);
    lose(9);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
    lose(11);
    dprintf(2, "at the end\n");
}
