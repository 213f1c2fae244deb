// Proves that a library can allocate when it is initialised and when it is finalised.
// library: early.c link
#include "test.h"

extern char *early_gift;

int main(void) {
    CHECK(strcmp(early_gift, "made before main") == 0);
    early_gift = realloc(early_gift, 10000);
    CHECK(strcmp(early_gift, "made before main") == 0);
}
