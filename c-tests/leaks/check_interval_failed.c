// Proves that checks by interval go on after one that failed.
// expect-leaks: definitely=40/1
// reports: some
// options: leak_interval=1:leak_at_exit=0
// expect-stderr: besom: leak check failed: the threads could not be stopped: no memory
// expect-exit: 0
#include "leak.h"
#include "check_failed.h"

static void wait_only(void) {}

int main(void) {
    lose(40);
    wipe_stack();
    fail_one_check(wait_only);
    await_report();
}
