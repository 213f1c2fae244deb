// Proves that BESOM_OPTIONS goes before LSAN_OPTIONS.
// expect-leaks: definitely=40/1
// expect-exit: 5
// options: exitcode=5
// env: LSAN_OPTIONS=exitcode=77
#include "leak.h"

int main(void) { lose(40); }
