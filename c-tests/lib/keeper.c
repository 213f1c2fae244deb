/* A library that keeps, makes and loses blocks, with a thread-local variable of the dynamic kind. */
#include <stdlib.h>
#include <string.h>

void *keeper_kept;
__thread void *keeper_kept_by_thread[64];

void keeper_keep(void *p) { keeper_kept = p; }

void keeper_keep_for_thread(void *p) { keeper_kept_by_thread[5] = p; }

void keeper_make(size_t bytes) {
    keeper_kept = malloc(bytes);
    memset(keeper_kept, 1, bytes);
}
