// Proves that exitcode= sets the exit status of a program that leaks.
// expect-leaks: definitely=40/1
// expect-exit: 7
// options: exitcode=7
#include "leak.h"

int main(void) { lose(40); }
