// Proves that checks by growth go on after one that failed.
// expect-leaks: definitely=40/1
// reports: some
// options: leak_growth=100:leak_at_exit=0
// expect-stderr: besom: leak check failed: the threads could not be stopped: no memory
// expect-exit: 0
#include "leak.h"
#include "check_failed.h"

void *kept[100];
static int blocks;

/* Keeps a block more, up to twice the smallest growth that counts: in memory that besom has reserved. */
static void grow(void) {
    if (blocks < 8) kept[blocks++] = make(1 * MIB);
}

int main(void) {
    lose(40);
    wipe_stack();
    fail_one_check(grow);
    for (int i = 0; i < 50; i++) kept[blocks++] = make(1 * MIB);
    await_report();
}
