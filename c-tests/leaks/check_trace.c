// Proves that trace=1 tells of each check what the heap held before and holds after it, and that more lost blocks than
// are remembered are only spoken of where that matters: not here, without leak_new=1.
// expect-leaks: definitely=8800000/1100000
// expect-exit: 0
// options: trace=1:leak_at_exit=0
// expect-stderr: besom: check 1 (call): stop {*} ms; pause {*} ms; {*} workers scanned {*} bytes in {*} ms of CPU; heap 8800000 bytes in 1100000 blocks before, 8800000 in 1100000 after; lost 8800000 in 1100000, reclaimed 0 in 0
#include "leak.h"

int main(void) {
    for (int i = 0; i < 1100000; i++) lose(8);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
}
