// Proves that a block said to hold no pointers is not read.
// expect-leaks: definitely=40/1 reachable=100/1
#include "leak.h"

void **kept;

int main(void) {
    kept = (void **)besom_malloc_noscan(100);
    CHECK(kept != NULL);
    kept[3] = make(40);
}
