// Proves the same for a large block.
// expect-leaks: definitely=40/1
#include "leak.h"

void **dangling;

int main(void) {
    dangling = (void **)make(1 * MIB);
    dangling[100000] = make(40);
    free(dangling);
}
