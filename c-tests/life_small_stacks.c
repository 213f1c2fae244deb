// Proves that every path of malloc and free, the slow ones too, fits on the smallest stack a thread may have, 16 KiB.
// flags: -pthread
#include "test.h"

enum { THREADS = 50 };
static void *objects[THREADS][2000];

static void *run(void *argument) {
    void **mine = argument;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2000; i++) mine[i] = i % 100 == 0 ? malloc(200000) : calloc(1, i);
        for (size_t i = 0; i < 2000; i++) mine[i] = realloc(mine[i], i * 2 + 1);
        for (size_t i = 0; i < 2000; i++) free(mine[i]);
        free(aligned_alloc(1 * MIB, 100));
    }
    malloc_trim(0);
    return NULL;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t threads[THREADS];
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 16 * KIB) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], &attributes, run, objects[i]) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}
