/* A library that allocates in an IFUNC resolver, which ld.so calls as the last step of relocating this library:
   besom, which stands earlier in the search order, is relocated only after it. */
#include <stdlib.h>
#include <string.h>

static char *gift;

static int answer(void) { return 42; }

static int (*resolve(void))(void) {
    char *p = malloc(100);
    if (p != NULL) {
        memset(p, 'i', 99);
        p[99] = 0;
    }
    free(malloc(1000));
    free(NULL);
    gift = p;
    return answer;
}

/* Static, so that the linker makes it a relocation behind all others. */
static int chosen(void) __attribute__((ifunc("resolve")));

int ifunc_answer(void) { return chosen(); }
char *ifunc_gift(void) { return gift; }
