// Proves that initialized and zeroed globals and statics keep blocks.
// expect-leaks: reachable=330/4
#include "leak.h"

void *in_bss;
void *in_data = (void *)1;
void *array[1000];

static NOINLINE void keep(void) {
    static void *local;
    in_bss = make(30);
    in_data = make(50);
    array[999] = make(100);
    local = make(150);
    OPAQUE(local);
}

int main(void) { keep(); }
