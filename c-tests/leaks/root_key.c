// Proves that values of pthread_setspecific keep blocks, with keys of the first and of a later block of them.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

static pthread_key_t keys[100];

static NOINLINE void keep(void) {
    for (int i = 0; i < 100; i++) CHECK(pthread_setspecific(keys[i], make(40)) == 0);
}

static void *hold(void *unused) {
    keep();
    wipe_stack();
    stay();
    return unused;
}

int main(void) {
    for (int i = 0; i < 100; i++) CHECK(pthread_key_create(&keys[i], NULL) == 0);
    keep();
    start(hold, NULL);
    await(1);
}
