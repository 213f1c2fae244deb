// Proves that help=1 prints the table of options: name, default, how a value is written, meaning.
// options: help=1
// expect-stderr-has: besom: options in BESOM_OPTIONS=key=value:key=value
// expect-stderr-has: besom:   rseq=1  0 or 1: {*}
// expect-stderr-has: besom:   check=0  0 or 1: {*}
// expect-stderr-has: besom:   stats=0  0 or 1: {*}
// expect-stderr-has: besom:   min_align=8  1, 2, 4, 8 or 16: {*}
// expect-stderr-has: besom:   hard_limit=0  bytes, with K, M, G, T or KiB, MiB, GiB, TiB: {*}
#include "test.h"

int main(void) { free(malloc(1)); }
