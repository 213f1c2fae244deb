// Proves that malloc_context_size=2 keeps two functions of the program, and no more.
// env: LSAN_OPTIONS=malloc_context_size=2
// reports: text
// flags: -fno-optimize-sibling-calls
// expect-exit: 23
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}ERROR: besom: detected memory leaks
// expect-stderr: {*}
// expect-stderr: 40 bytes in 1 block is definitely lost, allocated from:
// expect-stderr:     #0 {*} in inner {*}
// expect-stderr:     #1 {*} in outer {*}
// expect-stderr: {*}
// expect-stderr: besom: heap of process {*}
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: {*}
// expect-stderr: SUMMARY: besom: 40 byte(s) leaked in 1 allocation(s).
#include "leak.h"

void *volatile last;

NOINLINE void inner(void) { last = malloc(40); }
NOINLINE void outer(void)
{
	inner();
	last = NULL;
}

int main(void) { outer(); }
