// Proves that a program that fails by itself keeps its own exit status.
// expect-leaks: definitely=40/1
// expect-exit: 3
#include "leak.h"

int main(void) {
    lose(40);
    return 3;
}
