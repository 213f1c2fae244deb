// Proves that besom_leak_check finds what is lost by now, and nothing that is still held.
// expect-leaks: definitely=0/0
// expect-leaks: definitely=40/1
// expect-leaks: definitely=90/2
// expect-exit: 23
#include "leak.h"

void *held;

static NOINLINE void drop(void) {
    held = NULL;
    wipe_stack();
}

int main(void) {
    held = make(40);
    wipe_stack();
    CHECK(besom_leak_check() == 0);
    drop();
    CHECK(besom_leak_check() == 1);
    lose(50);
}
