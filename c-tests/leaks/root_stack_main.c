// Proves that a local variable of a frame above the call of exit keeps its block.
// expect-leaks: reachable=40/1
#include "leak.h"

static NOINLINE void leave(void) { exit(0); }

int main(void) {
    void *volatile p = make(40);
    leave();
    return p != NULL;
}
