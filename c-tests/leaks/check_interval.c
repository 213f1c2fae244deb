// Proves that leak_interval= makes checks while the program runs.
// expect-leaks: definitely=40/1
// reports: some
// options: leak_interval=1:leak_at_exit=0
// expect-exit: 0
#include "leak.h"

int main(void) {
    lose(40);
    wipe_stack();
    await_report();
}
