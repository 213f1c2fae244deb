// Proves that besom's own thread, where there is one, frees what reclaim=1 lets it, without a request of the program's.
// expect-leaks: definitely=4000000/50000
// expect-leaks: definitely=4000000/50000
// expect-exit: 0
// options: reclaim=1:leak_signal=USR2:leak_at_exit=0
#include "leak.h"

int main(void) {
    for (int i = 0; i < 50000; i++) lose(80);
    wipe_stack();
    size_t before = mallinfo2().uordblks;
    CHECK(besom_leak_check() == 1);
    CHECK(besom_leak_check() == 1);
    for (int i = 0; mallinfo2().uordblks > before - 3900000; i++) {
        CHECK(i < 6000);
        usleep(10000);
    }
}
