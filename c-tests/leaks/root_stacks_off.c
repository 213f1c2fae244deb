// Proves that use_stacks=0 takes stacks out of the search.
// expect-leaks: definitely=40/1
// options: use_stacks=0:use_registers=0:use_mappings=0
// flags: -pthread
#include "leak.h"

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    start(hold, NULL);
    await(1);
}
