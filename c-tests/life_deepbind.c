// Proves that a library opened with RTLD_DEEPBIND, as PHP opens its extensions, shares the program's malloc: each frees
// what the other has allocated. Errors of dlopen and its search for the calling library stay as they are.
// library: opened.c open
#define _GNU_SOURCE
#include "test.h"

int main(void) {
    CHECK(dlopen("/no/such/library.so", RTLD_NOW | RTLD_DEEPBIND) == NULL);
    CHECK(strstr(dlerror(), "/no/such/library.so") != NULL);
    void *program = dlopen(NULL, RTLD_NOW);
    CHECK(program != NULL && dlsym(program, "malloc") == (void *)malloc);
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    CHECK(library != NULL);
    CHECK(dlopen(getenv("TEST_LIBRARY"), RTLD_LAZY | RTLD_NOLOAD | RTLD_DEEPBIND) == library);
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "opened_allocate");
    char *(*copy)(const char *) = (char *(*)(const char *))dlsym(library, "opened_copy");
    void (*release)(void *) = (void (*)(void *))dlsym(library, "opened_free");
    CHECK(allocate != NULL && copy != NULL && release != NULL);
    for (size_t bytes = 1; bytes < 4 * MIB; bytes = bytes * 3 + 1) {
        void *theirs = allocate(bytes);
        CHECK(theirs != NULL && malloc_usable_size(theirs) >= bytes);
        theirs = realloc(theirs, 2 * bytes);
        CHECK(theirs != NULL);
        release(theirs);
        free(allocate(bytes));
        release(malloc(bytes));
    }
    free(copy("a text that lies in the heap"));
}
