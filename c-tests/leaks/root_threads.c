// Proves that a thousand threads are stopped, and the stack of each is searched.
// expect-leaks: definitely=24000/1000
// flags: -pthread
#include "leak.h"

static void *hold(void *unused) {
    void *volatile p = make(40);
    lose(24);
    wipe_stack();
    stay();
    return p;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 64 * KIB) == 0);
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, hold, NULL) == 0);
    }
    await(1000);
}
