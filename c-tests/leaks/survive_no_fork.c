// Proves that the check is made where no child can be born: the process marks itself, and says so.
// expect-leaks: definitely=9/1 reachable=40/1
// expect-stderr-has: besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile
// expect-exit: 23
#include "leak.h"
#include "forbid.h"

void *kept;

int main(void) {
    kept = make(40);
    lose(9);
    forbid_children();
}
