/* A library that allocates when it is initialised and when it is finalised. It is a dependency of the program or
   preloaded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *held[200];
char *early_gift;

static void fail(const char *what) {
    (void)!write(2, what, strlen(what));
    _exit(1);
}

__attribute__((constructor)) static void construct(void) {
    for (size_t i = 0; i < 200; i++) {
        held[i] = i % 2 ? malloc(i * 50 + 1) : calloc(i * 50 + 1, 1);
        if (held[i] == NULL) fail("early.c: no memory in the constructor\n");
        memset(held[i], (int)i, i * 50 + 1);
    }
    early_gift = strdup("made before main");
    free(held[10]);
    held[10] = realloc(NULL, 501);
    memset(held[10], 10, 501);
}

__attribute__((destructor)) static void destruct(void) {
    for (size_t i = 0; i < 200; i++) {
        if (held[i][i * 50] != (char)i) fail("early.c: contents changed\n");
        held[i] = realloc(held[i], i * 60 + 1);
        if (held[i] == NULL || held[i][i * 50] != (char)i) fail("early.c: realloc in the destructor\n");
        free(held[i]);
    }
    for (size_t n = 1; n < 1000000; n *= 3) free(malloc(n));
    free(early_gift);
}
