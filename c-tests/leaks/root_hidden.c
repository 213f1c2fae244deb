// Proves what the documentation says of hidden pointers: who keeps only a disguised address has lost the block.
// expect-leaks: definitely=40/1
#include "leak.h"

uintptr_t hidden;

int main(void) { hidden = make_hidden(40); }
