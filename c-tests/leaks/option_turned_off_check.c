// Proves that a program may turn the checks of LeakSanitizer's interface off, too.
// expect-leaks: none
#include "leak.h"

int __lsan_is_turned_off(void) { return 1; }

int main(void) {
    lose(40);
    wipe_stack();
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    __lsan_do_leak_check();
}
