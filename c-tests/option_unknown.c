// Proves that an unknown option is named on standard error and ignored, and the others still count.
// options: no_such_thing=1:min_align=16:another
// expect-stderr: besom: BESOM_OPTIONS: unknown option 'no_such_thing' (help=1 lists them)
// expect-stderr: besom: BESOM_OPTIONS: unknown option 'another' (help=1 lists them)
#include "test.h"

int main(void) {
    for (int i = 0; i < 100; i++) CHECK(is_aligned(malloc(1), 16));
}
