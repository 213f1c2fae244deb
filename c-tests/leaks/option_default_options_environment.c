// Proves that the function for options of the program finds the environment, though it is called before libc is
// initialised.
// expect-leaks: definitely=8/1
// expect-exit: 5
// env: PROGRAM_OPTIONS=exitcode=5
#include "leak.h"

const char *__lsan_default_options(void) { return getenv("PROGRAM_OPTIONS"); }

int main(void) { lose(8); }
