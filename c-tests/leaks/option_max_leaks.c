// Proves that max_leaks and report_objects shape the text report.
// reports: text
// expect-exit: 23
// options: max_leaks=1:report_objects=1
// expect-stderr-has: 1000 bytes in 10 blocks are definitely lost, allocated from:
// expect-stderr-has: SUMMARY: besom: 1050 byte(s) leaked in 11 allocation(s).
#include "leak.h"

static NOINLINE void lose_large(void) { lose(100); }

static NOINLINE void lose_small(void) { lose(50); }

int main(void) {
    for (volatile int i = 0; i < 10; i++) lose_large();
    lose_small();
}
