// Proves that threads cancelled between and around their allocations leave the allocator usable; malloc is no cancellation point.
// flags: -pthread
#include "test.h"

enum { THREADS = 400 };

static void clean_up(void *objects) {
    for (size_t i = 0; i < 32; i++) free(((void **)objects)[i]);
}

static void *run(void *unused) {
    (void)unused;
    void *objects[32] = {0};
    pthread_cleanup_push(clean_up, objects);
    for (size_t i = 0;; i++) {
        free(objects[i % 32]);
        objects[i % 32] = malloc(i * 97 % 60000);
        CHECK(objects[i % 32] != NULL);
        if (i % 64 == 0) pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

int main(void) {
    for (int i = 0; i < THREADS; i += 4) {
        pthread_t threads[4];
        for (int k = 0; k < 4; k++) CHECK(pthread_create(&threads[k], NULL, run, NULL) == 0);
        if (i % 8 == 0) sched_yield();
        for (int k = 0; k < 4; k++) {
            void *result;
            CHECK(pthread_cancel(threads[k]) == 0);
            CHECK(pthread_join(threads[k], &result) == 0 && result == PTHREAD_CANCELED);
        }
    }
    CHECK_AT(mallinfo2().uordblks < 16 * MIB, mallinfo2().uordblks, 0);
}
