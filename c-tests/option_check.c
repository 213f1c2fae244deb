// Proves that check=1 lets a program that does nothing wrong run on undisturbed, with threads and all sizes.
// options: check=1
// flags: -pthread
#include "test.h"

static void *run(void *seed) {
    static __thread void *objects[500];
    uint64_t state = (size_t)seed + 5;
    for (int step = 0; step < 60000; step++) {
        uint64_t random = next_random(&state);
        void **slot = &objects[random % 500];
        size_t bytes = (random >> 20) % (32UL << (random >> 10) % 12);
        if (random >> 62 == 3) {
            *slot = realloc(*slot, bytes + 1);
        } else {
            free(*slot);
            *slot = malloc(bytes);
        }
        CHECK(*slot != NULL);
    }
    for (size_t i = 0; i < 500; i++) free(objects[i]);
    return NULL;
}

int main(void) {
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}
