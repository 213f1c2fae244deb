// Proves that a pointer just behind a block does not count as one to it.
// expect-leaks: definitely=64/1
#include "leak.h"

char *behind;

int main(void) { behind = (char *)make(64) + 64; }
