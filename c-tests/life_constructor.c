// Proves that a library which is initialised before besom and finalised after it can allocate in both.
// library: early.c link
#include "test.h"

extern char *early_gift;

int main(void) {
    CHECK(strcmp(early_gift, "made before main") == 0);
    early_gift = realloc(early_gift, 10000);
    CHECK(strcmp(early_gift, "made before main") == 0);
}
