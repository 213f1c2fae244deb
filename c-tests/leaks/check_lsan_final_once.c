// Proves that __lsan_do_leak_check lets a process without leaks go on, and that it is the last check.
// expect-leaks: definitely=0/0
// expect-exit: 0
#include "leak.h"

int main(void) {
    __lsan_do_leak_check();
    lose(40);
    wipe_stack();
    __lsan_do_leak_check();
}
