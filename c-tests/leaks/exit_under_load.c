// Proves that a check among threads that allocate, free and start others neither hangs nor finds what is in use.
// expect-leaks: definitely=40/1
// flags: -pthread
#include "leak.h"

static void *child(void *argument) {
    free(argument);
    return NULL;
}

static void *churn(void *unused) {
    void *volatile slots[64] = {NULL};
    uint64_t random = (uint64_t)(uintptr_t)&random | 1;
    for (size_t i = 0;; i++) {
        size_t slot = next_random(&random) % 64;
        void *old = slots[slot];
        slots[slot] = NULL;
        free(old);
        slots[slot] = malloc(next_random(&random) % 3000);
        if (i % 200 == 0) pthread_join(start(child, make(10)), NULL);
        if (i == 1000) arrive();
    }
    return unused;
}

int main(void) {
    for (int i = 0; i < 4; i++) start(churn, NULL);
    await(4);
    lose(40);
}
