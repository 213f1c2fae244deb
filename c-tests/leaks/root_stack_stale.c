// Proves that words which finished calls left on the stack hide no leak at exit.
// expect-leaks: definitely=40/1
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

int main(void) {
    work();
    exit(0);
}
