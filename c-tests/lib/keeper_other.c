/* Laid out as keeper.c, to be loaded in its place; where that has a function, this has another. */
#include <stdlib.h>
#include <string.h>

void *other_kept;
__thread void *other_kept_by_thread[64];

void other_keep(void *p) { other_kept = p; }

void other_keep_for_thread(void *p) { other_kept_by_thread[5] = p; }

void other_make(size_t bytes) {
    other_kept = malloc(bytes);
    memset(other_kept, 1, bytes);
}
