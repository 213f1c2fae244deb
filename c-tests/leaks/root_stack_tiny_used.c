// Proves that a thread with the smallest stack may allocate where a good third of it is taken.
// expect-leaks: definitely=7/1
// flags: -pthread
#include "leak.h"

#include <limits.h>

static void *hold(void *unused) {
    char taken[PTHREAD_STACK_MIN * 2 / 5];
    memset(taken, 1, sizeof taken);
    char *here = taken;
    OPAQUE(here);
    void *volatile p = malloc(40);
    stay();
    OPAQUE(here);
    return p;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, &attributes, hold, NULL) == 0);
    await(1);
    lose(7);
}
