// Proves that pages without access inside the program's data do no harm.
// expect-leaks: definitely=9/1 reachable=80/2
#include "leak.h"

static void *data[8 * 512] __attribute__((aligned(4096))) = {(void *)1};

int main(void) {
    data[100] = make(40);
    data[5 * 512] = make(40);
    CHECK(mprotect(data + 2 * 512, 4096, PROT_NONE) == 0);
    CHECK(mprotect(data + 4 * 512, 4096, PROT_READ) == 0);
    lose(9);
}
