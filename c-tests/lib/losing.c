/* A library that loses blocks when it is initialised and when it is finalised. */
#include <stdlib.h>
#include <string.h>

static void *volatile held;

__attribute__((noinline)) static void losing_blocks(int blocks, size_t bytes) {
    for (int i = 0; i < blocks; i++) {
        held = malloc(bytes);
        memset(held, 1, bytes);
    }
    held = NULL;
}

__attribute__((constructor)) static void losing_construct(void) { losing_blocks(10, 120); }

__attribute__((destructor)) static void losing_destruct(void) { losing_blocks(3, 1000); }

/* A program that calls this needs the library. */
void losing_touch(void) {}
