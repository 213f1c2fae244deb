// Proves that large blocks are counted with the bytes that were asked for, not with pages.
// expect-leaks: definitely=52428845/3
#include "leak.h"

int main(void) {
    lose(32801);
    lose(10485764);
    lose(41910280);
}
