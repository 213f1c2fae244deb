// Proves that one lost block is counted with the size that was asked for, and its stack has names.
// expect-leaks: definitely=40/1
// expect-function: make
// expect-function: lose
// expect-function: main
#include "leak.h"

int main(void) { lose(40); }
