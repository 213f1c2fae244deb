// Proves that the text report names functions and lines and ends with the line that tools look for.
// reports: text
// expect-exit: 23
// expect-stderr-has: 40 bytes in 1 block is definitely lost, allocated from:
// expect-stderr-has: {*} in lose {*}leak.h:{*}
// expect-stderr-has: {*} in main {*}option_text.c:{*}
// expect-stderr-has:   definitely lost: 40 bytes in 1 block
// expect-stderr-has:   indirectly lost: 0 bytes in 0 blocks
// expect-stderr-has:     possibly lost: 0 bytes in 0 blocks
// expect-stderr-has: SUMMARY: besom: 40 byte(s) leaked in 1 allocation(s).
#include "leak.h"

int main(void) { lose(40); }
