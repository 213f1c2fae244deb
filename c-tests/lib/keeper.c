/* A library that keeps, makes and loses blocks, with a thread-local variable of the dynamic kind. */
#include <stdlib.h>
#include <string.h>

static void *kept;
static __thread void *kept_by_thread[64];

void keeper_keep(void *p) { kept = p; }

void keeper_keep_for_thread(void *p) { kept_by_thread[5] = p; }

void keeper_make(size_t bytes) {
    kept = malloc(bytes);
    memset(kept, 1, bytes);
}
