// Proves that __lsan_do_leak_check ends a process that leaks, and what it has printed comes out.
// expect-leaks: definitely=40/1
// expect-stdout: printed
#include "leak.h"

int main(void) {
    lose(40);
    wipe_stack();
    printf("printed");
    __lsan_do_leak_check();
    puts(", but not this");
    return 1;
}
