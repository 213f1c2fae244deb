// Proves that the argument of a thread keeps its block, though the thread has not looked at it.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

static void *hold(void *argument) {
    argument = NULL;
    OPAQUE(argument);
    wipe_stack();
    stay();
    return argument;
}

static NOINLINE void launch(void) { start(hold, make(40)); }

int main(void) {
    launch();
    await(1);
}
