// Proves that what a program says about itself counts though the dynamic linker does not know of it.
// expect-leaks: definitely=500/1 suppressed=40/1
// expect-exit: 9
// build: -O1 -Wl,--no-export-dynamic
// build: -O1 -no-pie -Wl,--no-export-dynamic
#include "leak.h"

const char *__lsan_default_suppressions(void) { return "leak:lose_small\n"; }
const char *__lsan_default_options(void) { return "exitcode=9"; }

static NOINLINE void lose_small(void) {
    lose(40);
    OPAQUE(*(void **)__builtin_frame_address(0));
}

int main(void) {
    lose_small();
    lose(500);
}
