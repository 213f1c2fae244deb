// Proves that a block given to the kernel as an alternate stack is not lost, though no handler runs on it.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

static NOINLINE void give_stack(void) {
    stack_t stack;
    memset(&stack, 0, sizeof stack);
    stack.ss_size = 40960;
    stack.ss_sp = make(40960);
    CHECK(sigaltstack(&stack, NULL) == 0);
    memset(&stack, 0, sizeof stack);
    OPAQUE(stack.ss_sp);
}

static void *hold(void *unused) {
    give_stack();
    wipe_stack();
    stay();
    return unused;
}

int main(void) {
    give_stack();
    start(hold, NULL);
    await(1);
}
