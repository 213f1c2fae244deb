// Proves that with use_unaligned=1 a pointer at an odd address counts.
// expect-leaks: definitely=0/0
// options: use_unaligned=1
#include "leak.h"

static char odd[64] __attribute__((aligned(8)));

int main(void) {
    void *p = make(40);
    memcpy(odd + 3, &p, sizeof p);
}
