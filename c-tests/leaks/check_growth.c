// Proves that leak_growth= makes a check when the heap has grown.
// expect-leaks: definitely=40/1
// reports: some
// options: leak_growth=100:leak_at_exit=0
// expect-exit: 0
#include "leak.h"

void *kept[200];

int main(void) {
    lose(40);
    wipe_stack();
    for (int i = 0; i < 200; i++) {
        kept[i] = make(1 * MIB);
    }
    await_report();
}
