// Proves that a library which is initialised before besom can allocate then.
// library: first.c link
#include "test.h"

void first_touch(void);

static char *early[100];

void before_all(void) {
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        early[i] = malloc(i * 50 + 1);
        CHECK(early[i] != NULL);
        memset(early[i], (int)i, i * 50 + 1);
    }
}

int main(void) {
    first_touch();
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        CHECK(early[i][0] == (char)i && early[i][i * 50] == (char)i);
        early[i] = realloc(early[i], i * 100 + 1);
        CHECK(early[i] != NULL && early[i][i * 50] == (char)i);
        free(early[i]);
    }
}
