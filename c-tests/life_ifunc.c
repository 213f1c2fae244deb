// Proves that malloc and free work in an IFUNC resolver, before ld.so has relocated besom, and that what it got there can be freed.
// library: ifunc.c link
#include "test.h"

int ifunc_answer(void);
char *ifunc_gift(void);

int main(void) {
    CHECK(ifunc_answer() == 42);
    char *gift = ifunc_gift();
    CHECK(gift != NULL && strlen(gift) == 99 && gift[98] == 'i');
    gift = realloc(gift, 5000);
    CHECK(gift != NULL && gift[98] == 'i');
    free(gift);
}
