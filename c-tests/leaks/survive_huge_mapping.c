// Proves that a terabyte of address space without memory costs no time.
// expect-leaks: definitely=9/1 reachable=40/1
#include "leak.h"

int main(void) {
    char *map = (char *)mmap(NULL, 1024 * GIB, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(map != MAP_FAILED);
    *(void **)(map + 700 * GIB) = make(40);
    lose(9);
}
