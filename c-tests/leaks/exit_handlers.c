// Proves that the program's exit handlers have run: what they free is not reported, what they lose is.
// expect-leaks: definitely=41/1
#include "leak.h"

void *freed, *freed_last, *lost;

static void at_exit(void) {
    free(freed);
    freed = lost = NULL;
}

static void on_end(int status, void *argument) { free(argument); }

__attribute__((destructor)) static void at_end(void) {
    free(freed_last);
    freed_last = NULL;
}

int main(void) {
    freed = make(40);
    freed_last = make(43);
    lost = make(41);
    CHECK(atexit(at_exit) == 0 && on_exit(on_end, make(42)) == 0);
}
