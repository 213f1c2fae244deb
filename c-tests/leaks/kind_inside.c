// Proves that a block with only a pointer into its middle is possibly lost, with what it alone holds.
// expect-leaks: possibly=140/2
#include "leak.h"

char *inside;

int main(void) {
    void **block = (void **)make(100);
    block[1] = make(40);
    inside = (char *)block + 48;
}
