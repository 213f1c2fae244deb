// Proves the same for a block whose allocating frames lie in the library that is gone.
// expect-leaks: definitely=56/1
// expect-function: keeper_make
// expect-function: main
// library: keeper.c open
#include "leak.h"

int main(void) {
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    void (*make_and_keep)(size_t) = (void (*)(size_t))dlsym(library, "keeper_make");
    make_and_keep(56);
    CHECK(dlclose(library) == 0);
    CHECK(dlopen(getenv("TEST_LIBRARY"), RTLD_NOW | RTLD_NOLOAD) == NULL);
}
