// Proves that stacks go through a position-independent program whose segments lie apart, as those of programs linked
// for huge pages do; the dynamic linker knows each as a module of its own, most of them without headers.
// reports: text
// flags: -pie -fPIE -Wl,-z,max-page-size=0x200000
// expect-exit: 23
// expect-stderr-has: 40 bytes in 1 block is definitely lost, allocated from:
// expect-stderr-has: {*} in lose {*}leak.h:{*}
// expect-stderr-has: {*} in main {*}stack_segments_apart_pie.c:{*}
#include "leak.h"

int main(void) { lose(40); }
