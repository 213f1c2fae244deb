// Proves that a bad value is named on standard error with what would be right, and ignored.
// options: check=maybe:hard_limit=12XB:min_align=3:stats=
// expect-stderr: besom: BESOM_OPTIONS: bad value 'maybe' for check: 0 or 1
// expect-stderr: besom: BESOM_OPTIONS: bad value '12XB' for hard_limit: bytes, with K, M, G, T or KiB, MiB, GiB, TiB
// expect-stderr: besom: BESOM_OPTIONS: bad value '3' for min_align: 1, 2, 4, 8 or 16
// expect-stderr: besom: BESOM_OPTIONS: bad value '' for stats: 0 or 1
#include "test.h"

int main(void) { CHECK(malloc(100 * MIB) != NULL); }
