// Proves that a whole frame of stale addresses hides nothing at exit, also in a program linked to a fixed place that has
// the address of exit, which is then that of a stub.
// expect-leaks: definitely=4800/200
// build: -O1
// build: -O1 -no-pie -fno-pie
#include "leak.h"

void (*const table[])(int) = {exit};
void (*volatile leave)(int);

static NOINLINE void lose_frame(void) {
    void *volatile blocks[200];
    for (int i = 0; i < 200; i++) blocks[i] = malloc(24);
}

int main(void) {
    leave = table[0];
    lose_frame();
    return 0;
}
