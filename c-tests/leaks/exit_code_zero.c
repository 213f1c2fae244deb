// Proves that exitcode=0 keeps the program's own status.
// expect-leaks: definitely=40/1
// expect-exit: 0
// options: exitcode=0
#include "leak.h"

int main(void) { lose(40); }
