// Proves that 10,000 threads, 100 alive at a time, each allocating and exiting, leave at most 16 MiB more in memory than before.
// flags: -pthread
#include "test.h"

enum { THREADS = 10000, ALIVE = 100, OBJECTS = 300, LEFT_BYTES = 16 << 20 };
static pthread_t threads[ALIVE];

static void *run(void *seed) {
    void *objects[OBJECTS];
    uint64_t state = (size_t)seed + 1;
    for (size_t i = 0; i < OBJECTS; i++) {
        size_t bytes = 16 + next_random(&state) % (i % 50 == 0 ? 20000 : 1000);
        objects[i] = malloc(bytes);
        memset(objects[i], 1, bytes);
    }
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    return NULL;
}

int main(void) {
    size_t before = resident_bytes();
    for (size_t i = 0; i < THREADS; i++) {
        if (i >= ALIVE) CHECK(pthread_join(threads[i % ALIVE], NULL) == 0);
        CHECK(pthread_create(&threads[i % ALIVE], NULL, run, (void *)i) == 0);
    }
    for (size_t i = 0; i < ALIVE; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    size_t after = resident_bytes();
    CHECK_AT(after <= before + LEFT_BYTES, before, after);
}
