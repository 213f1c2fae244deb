// Proves that what a program left in its stdio buffers comes out, though the exit status changes.
// expect-leaks: definitely=40/1
// expect-stdout: left in the buffer
#include "leak.h"

int main(void) {
    lose(40);
    printf("left in the buffer");
}
