// Proves that max_leaks and report_objects shape the text report.
// reports: text
// expect-exit: 23
// options: max_leaks=1:report_objects=1
// expect-stderr-has: 200 bytes in 2 blocks are definitely lost, allocated from:
// expect-stderr-has: SUMMARY: besom: 250 byte(s) leaked in 3 allocation(s).
#include "leak.h"

static NOINLINE void lose_large(void) { lose(100); }

static NOINLINE void lose_small(void) { lose(50); }

int main(void) {
    for (int i = 0; i < 2; i++) lose_large();
    lose_small();
}
