// Proves that a program all of whose leaks are suppressed ends well.
// expect-leaks: definitely=0/0 suppressed=80/2
// env: LSAN_OPTIONS=suppressions={sources}/leaks/known.supp
#include "leak.h"

static NOINLINE void known_leak(void) { make_node(make_node(NULL)); }

int main(void) { known_leak(); }
