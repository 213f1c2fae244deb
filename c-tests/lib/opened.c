/* Allocates and frees for the program that opens it. */
#include <stdlib.h>
#include <string.h>

void *opened_allocate(size_t bytes) {
    void *object = malloc(bytes);
    if (object != NULL) memset(object, 7, bytes);
    return object;
}

char *opened_copy(const char *text) { return strdup(text); }

void opened_free(void *object) { free(object); }
