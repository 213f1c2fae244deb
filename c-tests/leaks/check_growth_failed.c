// Proves that checks by growth go on after one that failed.
// expect-leaks: definitely=40/1
// reports: some
// options: leak_growth=100:leak_at_exit=0
// expect-stderr: besom: leak check failed: the threads could not be stopped: no memory
// expect-exit: 0
#include "leak.h"
#include "check_failed.h"

/* Allocates without needing more memory. */
static void churn(void) {
    for (int i = 0; i < 100; i++) {
        void *p = malloc(1000);
        OPAQUE(p);
        free(p);
    }
}

int main(void) {
    lose(40);
    wipe_stack();
    churn();
    fail_one_check(churn);
    /* Twice the smallest growth that counts. */
    for (int i = 0; i < 90; i++) churn();
    await_report();
}
