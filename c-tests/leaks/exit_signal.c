// Proves that a program killed by a signal keeps that status, and is not checked.
// expect-leaks: none
// expect-signal: TERM
#include "leak.h"

int main(void) {
    lose(40);
    raise(SIGTERM);
}
