// Proves that calloc's and reallocarray's blocks are counted with the product.
// expect-leaks: definitely=1110/2
#include "leak.h"

static NOINLINE void lose_array(void) {
    void *p = calloc(10, 11);
    OPAQUE(p);
    p = reallocarray(NULL, 10, 100);
    OPAQUE(p);
}

int main(void) { lose_array(); }
