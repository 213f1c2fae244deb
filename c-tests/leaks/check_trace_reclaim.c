// Proves that trace=1 tells what a check leaves to be reclaimed.
// expect-leaks: definitely=100000/1000
// expect-leaks: definitely=100000/1000
// expect-exit: 0
// options: trace=1:leak_at_exit=0:reclaim=1
// expect-stderr: besom: check 1 (call): {*}; heap 100000 bytes in 1000 blocks before, 100000 in 1000 after; lost 100000 in 1000, reclaimed 0 in 0
// expect-stderr: besom: check 2 (call): {*}; heap 100000 bytes in 1000 blocks before, 0 in 0 after; lost 100000 in 1000, reclaimed 100000 in 1000
#include "leak.h"

int main(void) {
    for (int i = 0; i < 1000; i++) lose(100);
    wipe_stack();
    CHECK(besom_leak_check() == 1);
    CHECK(besom_leak_check() == 1);
}
