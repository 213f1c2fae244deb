// Proves that the stack of a coroutine that waits is searched: a block that a context of the program points to.
// expect-leaks: definitely=0/0
#include "leak.h"

#include <ucontext.h>

static ucontext_t coroutine, caller;

static void body(void) {
    void *volatile p = make(40);
    swapcontext(&coroutine, &caller);
    CHECK(p == NULL);
}

int main(void) {
    CHECK(getcontext(&coroutine) == 0);
    coroutine.uc_stack.ss_sp = make(64 * KIB);
    coroutine.uc_stack.ss_size = 64 * KIB;
    coroutine.uc_link = &caller;
    makecontext(&coroutine, body, 0);
    CHECK(swapcontext(&caller, &coroutine) == 0);
}
