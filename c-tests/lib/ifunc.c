/* A library that allocates in an IFUNC resolver, which ld.so calls while it relocates: besom, which stands
   earlier in the search order, is not relocated yet then. */
#include <stdlib.h>
#include <string.h>

char *ifunc_gift;

static int answer(void) { return 42; }

static int (*resolve(void))(void) {
    char *p = malloc(100);
    if (p != NULL) {
        memset(p, 'i', 99);
        p[99] = 0;
    }
    free(malloc(1000));
    free(NULL);
    ifunc_gift = p;
    return answer;
}

int ifunc_answer(void) __attribute__((ifunc("resolve")));
int (*ifunc_answer_address)(void) = ifunc_answer;
