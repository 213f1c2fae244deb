// Proves the same of a program linked to a fixed place that has the address of exit, which is then that of a stub.
// expect-leaks: definitely=40/1
// flags: -no-pie -fno-pie
#include "leak.h"

static NOINLINE int spread(void *p, int depth) {
    void *volatile copies[64];
    for (int i = 0; i < 64; i++) copies[i] = p;
    if (depth > 0) spread(p, depth - 1);
    return copies[depth] == p;
}

static NOINLINE void work(void) {
    void *p = make(40);
    CHECK(spread(p, 60));
}

void (*volatile leave)(int);

int main(void) {
    leave = exit;
    work();
    exit(0);
}
