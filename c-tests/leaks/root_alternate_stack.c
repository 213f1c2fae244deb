// Proves that a thread on its alternate stack has both stacks searched: the handler's frames and those it interrupted.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

#define STACK_BYTES (64 * KIB)
char alternate[STACK_BYTES];

static void on_signal(int number) {
    void *volatile p = make(41);
    stay();
    OPAQUE(number);
    (void)p;
}

static void *hold(void *unused) {
    stack_t stack = {.ss_sp = alternate, .ss_size = STACK_BYTES};
    CHECK(sigaltstack(&stack, NULL) == 0);
    memset(&stack, 0, sizeof stack);
    void *volatile p = make(40);
    raise(SIGUSR1);
    return p;
}

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    start(hold, NULL);
    await(1);
}
