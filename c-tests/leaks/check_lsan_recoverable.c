// Proves that __lsan_do_recoverable_leak_check reports all that is lost, as often as it is called, and goes on.
// expect-leaks: definitely=40/1
// expect-leaks: definitely=40/1
// expect-leaks: definitely=90/2
// expect-leaks: definitely=90/2
// expect-exit: 23
#include "leak.h"

static NOINLINE void lose_one(size_t bytes) {
    lose(bytes);
    wipe_stack();
}

int main(void) {
    lose_one(40);
    CHECK(__lsan_do_recoverable_leak_check() == 1);
    CHECK(__lsan_do_recoverable_leak_check() == 1);
    lose_one(50);
    CHECK(__lsan_do_recoverable_leak_check() == 1);
}
