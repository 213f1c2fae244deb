// Proves that the check takes no child of the program's: SIGCHLD and wait see the program's children alone.
// expect-leaks: definitely=40/1
// expect-leaks: definitely=40/1
// expect-exit: 23
#include "leak.h"

static volatile int children;

static void on_child(int number) { children++; }

int main(void) {
    signal(SIGCHLD, on_child);
    lose(40);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
    CHECK(children == 0);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}
