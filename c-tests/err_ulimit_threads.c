// Proves that threads that run out of memory together all get NULL, and none of them hangs or corrupts the others' objects.
// ulimit-v: 524288
// flags: -pthread
#include "test.h"

enum { THREADS = 4, ROUNDS = 5 };

/* Each object begins with its link and a number that depends on its owner. */
struct object {
    struct object *next;
    size_t owner;
};

static void *run(void *owner) {
    for (int round = 0; round < ROUNDS; round++) {
        struct object *all = NULL, *p;
        while ((p = malloc(20000)) != NULL) {
            *p = (struct object){all, (size_t)owner};
            all = p;
        }
        CHECK(errno == ENOMEM);
        while (all != NULL) {
            CHECK(all->owner == (size_t)owner);
            p = all->next;
            free(all);
            all = p;
        }
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    void *p = malloc(1 * MIB);
    CHECK(p != NULL);
}
