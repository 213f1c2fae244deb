// Proves that __lsan_do_recoverable_leak_check reports what is new and goes on.
// expect-leaks: definitely=40/1
// expect-leaks: definitely=0/0
// expect-leaks: definitely=50/1
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
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    lose_one(50);
    CHECK(__lsan_do_recoverable_leak_check() == 1);
}
