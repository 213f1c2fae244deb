// Proves that no object is given out twice, nor lost, where threads make far more objects than caches hold, and then
// free them all, in either order, over and over: the objects wait in blocks that several threads fill and empty.
#include "test.h"

enum { THREADS = 4, ROUNDS = 48, MOST = 40000 };

static const size_t sizes[] = {16, 64, 320, 2048};

static size_t held_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks;
}

static void *run(void *argument) {
    size_t thread = (size_t)argument;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t size = sizes[(thread + round / 3) % COUNT_OF(sizes)], count = MOST * 64 / (size + 48);
        size_t **objects = mmap(NULL, MOST * sizeof *objects, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(objects != MAP_FAILED && count <= MOST);
        for (size_t i = 0; i < count; i++) {
            CHECK((objects[i] = malloc(size)) != NULL);
            objects[i][0] = thread << 32 | i;
            objects[i][size / sizeof(size_t) - 1] = thread << 32 | i;
        }
        for (size_t i = 0; i < count; i++) {
            size_t k = round % 2 == 0 ? i : count - 1 - i;
            CHECK_AT(objects[k][0] == (thread << 32 | k), thread, k);
            CHECK_AT(objects[k][size / sizeof(size_t) - 1] == (thread << 32 | k), thread, k);
            free(objects[k]);
        }
        munmap(objects, MOST * sizeof *objects);
    }
    return NULL;
}

int main(void) {
    size_t before = held_bytes();
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    size_t after = held_bytes();
    CHECK_AT(after <= before + 64 * KIB, before, after);
    malloc_trim(0);
    struct mallinfo2 info = mallinfo2();
    CHECK_AT(info.arena <= 4 * MIB + info.uordblks, info.arena, info.uordblks);
    return 0;
}
