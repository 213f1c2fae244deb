// Proves that malloc and free work in an IFUNC resolver, before ld.so has relocated besom, and that what it got there can be freed.
// library: ifunc.c link
// flags: -Wl,-z,lazy
#include "test.h"

extern char *ifunc_gift;
extern int (*ifunc_answer_address)(void);

int main(void) {
    CHECK(ifunc_answer_address() == 42);
    CHECK(ifunc_gift != NULL && strlen(ifunc_gift) == 99 && ifunc_gift[98] == 'i');
    ifunc_gift = realloc(ifunc_gift, 5000);
    CHECK(ifunc_gift != NULL && ifunc_gift[98] == 'i');
    free(ifunc_gift);
}
