// Proves that a check frees first what is left of the last one, that a child of fork frees its own copies, and that a
// block is freed once, though the program frees some itself by pointers that it hid.
// expect-leaks: definitely=800000/10000
// expect-leaks: definitely=800000/10000
// expect-leaks: definitely=0/0
// expect-leaks: definitely=0/0
// expect-exit: 0
// options: reclaim=1
#include "leak.h"

#include <sys/wait.h>

enum { BLOCKS = 10000, BYTES = 80 };

uintptr_t hidden[BLOCKS];
void *kept[BLOCKS];

static size_t in_use(void) { return mallinfo2().uordblks; }

static NOINLINE void build(void) {
    for (int i = 0; i < BLOCKS; i++) hidden[i] = make_hidden(BYTES);
    wipe_stack();
}

/* Frees a tenth by the program and takes blocks of the same size: some come to the same places. */
static NOINLINE void interfere(void) {
    for (int i = 0; i < BLOCKS; i += 10) free(reveal(hidden[i]));
    for (int i = 0; i < BLOCKS / 10; i++) kept[i] = memset(malloc(BYTES), 7, BYTES);
    wipe_stack();
}

static NOINLINE void finish(size_t before) {
    for (int i = 0; i < BLOCKS; i++) {
        void *p = malloc(BYTES);
        memset(p, 9, BYTES);
        OPAQUE(p);
        free(p);
    }
    size_t now = in_use();
    CHECK_AT(now < before - (size_t)BYTES * BLOCKS * 8 / 10, before, now);
    for (int i = 0; i < BLOCKS / 10; i++) {
        for (int k = 0; k < BYTES; k++) CHECK(((char *)kept[i])[k] == 7);
    }
    wipe_stack();
}

int main(void) {
    build();
    size_t before = in_use();
    CHECK(besom_leak_check() == 1);
    CHECK(besom_leak_check() == 1);
    interfere();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        finish(before);
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    exit(0);
}
