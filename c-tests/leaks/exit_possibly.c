// Proves that what is only possibly lost leaves the exit status alone.
// expect-leaks: possibly=40/1
// expect-exit: 0
#include "leak.h"

char *inside;

int main(void) { inside = (char *)make(40) + 8; }
