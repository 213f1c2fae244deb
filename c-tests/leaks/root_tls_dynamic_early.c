// Proves the same for threads that were there before the library was opened.
// expect-leaks: definitely=0/0
// library: keeper.c open
// flags: -pthread
#include "leak.h"

static void (*volatile keep)(void *);

static NOINLINE void keep_one(void) { keep(make(40)); }

static void *hold(void *unused) {
    arrive();
    while (keep == NULL) usleep(1000);
    keep_one();
    wipe_stack();
    stay();
    return unused;
}

int main(void) {
    for (int i = 0; i < 5; i++) start(hold, NULL);
    await(5);
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    keep = (void (*)(void *))dlsym(library, "keeper_keep_for_thread");
    await(10);
}
