// Proves that stack_depth=1 keeps the one function that called the allocator, whichever call that is and whoever
// called it: blocks from two callers are then one group.
// options: stack_depth=1
// reports: text
// flags: -fno-optimize-sibling-calls
// expect-exit: 23
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}ERROR: besom: detected memory leaks
// expect-stderr: {*}
// expect-stderr: 200000 bytes in 2 blocks are definitely lost, allocated from:
// expect-stderr:     #0 {*} in by_realloc {*}
// expect-stderr: {*}
// expect-stderr: 600 bytes in 2 blocks are definitely lost, allocated from:
// expect-stderr:     #0 {*} in by_calloc {*}
// expect-stderr: {*}
// expect-stderr: 80 bytes in 2 blocks are definitely lost, allocated from:
// expect-stderr:     #0 {*} in by_malloc {*}
// expect-stderr: {*}
// expect-stderr: besom: heap of process {*}
// expect-stderr:   definitely lost: 200680 bytes in 6 blocks
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: SUMMARY: besom: 200680 byte(s) leaked in 6 allocation(s).
#include "leak.h"

void *volatile last;

NOINLINE void by_malloc(void) { last = malloc(40); }
NOINLINE void by_calloc(void) { last = calloc(3, 100); }
NOINLINE void by_realloc(void) { last = realloc(NULL, 100000); }

NOINLINE void lose_all(void)
{
	by_malloc();
	by_calloc();
	by_realloc();
}

NOINLINE void lose_all_again(void)
{
	by_malloc();
	by_calloc();
	by_realloc();
}

int main(void)
{
	lose_all();
	lose_all_again();
	last = NULL;
}
