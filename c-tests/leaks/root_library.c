// Proves that the data of a library opened later keep blocks.
// expect-leaks: definitely=0/0
// library: keeper.c open
#include "leak.h"

int main(void) {
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    void (*keep)(void *) = (void (*)(void *))dlsym(library, "keeper_keep");
    keep(make(40));
}
