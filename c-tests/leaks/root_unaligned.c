// Proves that a pointer at an odd address does not count.
// expect-leaks: definitely=40/1
#include "leak.h"

static char odd[64] __attribute__((aligned(8)));

int main(void) {
    void *p = make(40);
    memcpy(odd + 3, &p, sizeof p);
}
