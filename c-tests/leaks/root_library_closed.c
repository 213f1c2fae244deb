// Proves that closing a library loses what its data kept, whoever allocated it.
// expect-leaks: definitely=40/1
// library: keeper.c open
#include "leak.h"

int main(void) {
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    void (*keep)(void *) = (void (*)(void *))dlsym(library, "keeper_keep");
    keep(make(40));
    CHECK(dlclose(library) == 0);
    CHECK(dlopen(getenv("TEST_LIBRARY"), RTLD_NOW | RTLD_NOLOAD) == NULL);
}
