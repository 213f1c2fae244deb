// Proves that with leak_new=1 each check reports only what none before it has.
// expect-leaks: definitely=40/1
// expect-leaks: definitely=50/1
// expect-leaks: definitely=0/0
// expect-exit: 0
// options: leak_new=1
#include "leak.h"

static NOINLINE void lose_one(size_t bytes) {
    lose(bytes);
    wipe_stack();
}

int main(void) {
    lose_one(40);
    CHECK(besom_leak_check() == 1);
    lose_one(50);
    CHECK(besom_leak_check() == 1);
}
