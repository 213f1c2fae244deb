// Proves that another thread may end the process: main's frames still count.
// expect-leaks: definitely=8/1
// flags: -pthread
#include "leak.h"

static void *leave(void *unused) {
    lose(8);
    exit(0);
}

int main(void) {
    void *volatile p = make(40);
    start(leave, NULL);
    for (;;) pause();
    return p != NULL;
}
