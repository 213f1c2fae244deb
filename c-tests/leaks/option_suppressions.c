// Proves that a file of suppressions takes leaks out of the report and the status, with what only they hold.
// expect-leaks: definitely=8/1 suppressed=80/2
// env: LSAN_OPTIONS=suppressions={sources}/leaks/known.supp
#include "leak.h"

static NOINLINE void known_leak(void) { make_node(make_node(NULL)); }

int main(void) {
    known_leak();
    lose(8);
}
