// Proves that suppressions of the program itself are used.
// expect-leaks: definitely=8/1 suppressed=80/2
#include "leak.h"

const char *__lsan_default_suppressions(void) { return "leak:known_leak\n"; }

static NOINLINE void known_leak(void) { make_node(make_node(NULL)); }

int main(void) {
    known_leak();
    lose(8);
}
