// Proves that pointers anywhere in a large block count, and that one into its last page makes it possibly lost.
// expect-leaks: possibly=10485760/1 reachable=20971600/2
#include "leak.h"

char *inside;
void **block;

int main(void) {
    inside = (char *)make(10 * MIB) + 10 * MIB - 100;
    block = (void **)make(20 * MIB);
    block[20 * MIB / 8 - 1] = make(80);
}
