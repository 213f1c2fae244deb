// Proves that a report says that variables are protected from reading, by which it calls a block lost that they hold.
// options: leak=1
// expect-exit: 23
// expect-stderr-has: besom: not seen: some variables are protected from reading, and were taken for empty
// expect-stderr-has: SUMMARY: besom: 40 byte(s) leaked in 1 allocation(s).
#include "leak.h"

static void *data[8 * 512] __attribute__((aligned(4096)));

int main(void) {
    data[5 * 512] = make(40);
    wipe_stack();
    CHECK(mprotect(data + 5 * 512, 4096, PROT_NONE) == 0);
}
