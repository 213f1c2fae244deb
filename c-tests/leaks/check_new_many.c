// Proves that more lost blocks than are remembered are counted all the same, and the report says so.
// reports: text
// options: leak_new=1:leak_at_exit=0
// expect-stderr-has:   definitely lost: 8800000 bytes in 1100000 blocks
// expect-stderr-has: besom: not seen: {*} lost blocks are not remembered: the next check takes them for new
// expect-stderr-has: SUMMARY: besom: 8800000 byte(s) leaked in 1100000 allocation(s).
#include "leak.h"

int main(void) {
    for (int i = 0; i < 1100000; i++) lose(8);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
}
