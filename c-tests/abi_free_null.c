// Proves that NULL is nothing to free, before and after the first allocation.
#include "misuse.h"

__attribute__((constructor)) static void first(void) { free(NULL); }

int main(void) {
    free(NULL);
    free_sized(NULL, 0);
    CHECK(malloc_usable_size(NULL) == 0);
    free(malloc(1));
    free(NULL);
    void *p = realloc(NULL, 0);
    CHECK(p != NULL);
    free(p);
}
