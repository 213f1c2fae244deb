// Proves that check_on__exit=1 checks there, too, and changes the status as at exit.
// expect-leaks: definitely=40/1
// options: check_on__exit=1
#include "leak.h"

int main(void) {
    lose(40);
    wipe_stack();
    _exit(0);
}
