// Proves that a number out of an option's range is named with the range, and ignored.
// reports: text
// options: exitcode=256:stack_depth=0:stack_depth=129:leak_signal=11:leak_signal=9:leak_workers=65
// env: LSAN_OPTIONS=exitcode=999:malloc_context_size=0
// expect-exit: 23
// expect-stderr-has: besom: BESOM_OPTIONS: bad value '256' for exitcode: a number from 0 to 255
// expect-stderr-has: besom: BESOM_OPTIONS: bad value '0' for stack_depth: a number from 1 to 128
// expect-stderr-has: besom: BESOM_OPTIONS: bad value '129' for stack_depth: a number from 1 to 128
// expect-stderr-has: besom: BESOM_OPTIONS: bad value '11' for leak_signal: a signal's name or number that can be handled and is no fault's, or 0
// expect-stderr-has: besom: BESOM_OPTIONS: bad value '9' for leak_signal: a signal's name or number that can be handled and is no fault's, or 0
// expect-stderr-has: besom: BESOM_OPTIONS: bad value '65' for leak_workers: a number from 0 to 64
// expect-stderr-has: besom: LSAN_OPTIONS: bad value '999' for exitcode: a number from 0 to 255
// expect-stderr-has: besom: LSAN_OPTIONS: bad value '0' for malloc_context_size: a number from 1 to 128
// expect-stderr-has: SUMMARY: besom: 40 byte(s) leaked in 1 allocation(s).
#include "leak.h"

int main(void) { lose(40); }
