// Proves that words which finished calls left on the stack hide no leak at exit, also in a program linked to a fixed
// place that has the address of exit, which is then that of a stub.
// expect-leaks: definitely=40/1
// build: -O1
// build: -O1 -no-pie -fno-pie
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

void (*volatile leave)(int) = exit;

int main(void) {
    work();
    exit(0);
}
