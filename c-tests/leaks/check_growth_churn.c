// Proves that leak_growth= makes no check while a program allocates much and keeps little.
// expect-leaks: none
// options: leak_growth=100:leak_at_exit=0
// expect-exit: 0
#include "leak.h"

void *kept;

int main(void) {
    lose(40);
    wipe_stack();
    kept = make(1 * MIB);
    /* 100 MiB, the checks' smallest growth many times over, with time for the thread that makes them. */
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 1024; k++) free(make(1 * KIB));
        usleep(1000);
    }
    for (int i = 0; i < 100; i++) free(make(1 * MIB));
    usleep(100000);
}
