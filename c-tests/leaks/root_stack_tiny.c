// Proves that threads with the smallest stacks survive the check, and their stacks are searched.
// expect-leaks: definitely=7/1
// flags: -pthread
#include "leak.h"

#include <limits.h>

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, hold, NULL) == 0);
    }
    await(20);
    lose(7);
}
