// Proves that thread-local variables of a library opened later keep blocks, the main thread's and another's.
// expect-leaks: definitely=0/0
// library: keeper.c open
// flags: -pthread
#include "leak.h"

static void (*keep)(void *);

static NOINLINE void keep_one(void) { keep(make(40)); }

static void *hold(void *unused) {
    keep_one();
    wipe_stack();
    stay();
    return unused;
}

int main(void) {
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    keep = (void (*)(void *))dlsym(library, "keeper_keep_for_thread");
    CHECK(keep != NULL);
    start(hold, NULL);
    await(1);
    keep_one();
}
