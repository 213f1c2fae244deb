// Proves that a check that can neither have a copy nor read through the kernel fails with one clear line.
// expect-leaks: none
// expect-stderr: besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile
// expect-stderr: besom: leak check failed: no copy of the process can be made, and process_vm_readv is forbidden
// expect-stdout: goes on to its end
// expect-exit: 7
#include "leak.h"
#include "forbid.h"

int main(void) {
    lose(9);
    forbid_children();
    forbid_reading();
    printf("goes on to its end");
    return 7;
}
