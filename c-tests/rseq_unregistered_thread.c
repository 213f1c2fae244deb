// Proves that threads whose rseq registration was taken away (they read CPU -1) share the heap with registered ones without harm.
// flags: -pthread
#include "test.h"
#include <sys/rseq.h>
#include <sys/syscall.h>

enum { THREADS = 4, STEPS = 200000, OBJECTS = 500, UNREGISTER = 1 };

/* glibc registers with a length that depends on its version: the right one is accepted. */
static void unregister(void) {
    static const unsigned lengths[] = {32, 20, 24, 28, 40, 48, 64};
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    if (__rseq_size == 0) return;
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        if (syscall(SYS_rseq, area, lengths[i], UNREGISTER, RSEQ_SIG) == 0) {
            CHECK((int)((struct rseq *)area)->cpu_id < 0);
            return;
        }
    CHECK(!"unregistered");
}

static void *run(void *number) {
    if ((size_t)number % 2) unregister();
    unsigned char **objects = calloc(OBJECTS, sizeof *objects);
    uint64_t state = (size_t)number + 77;
    for (int step = 0; step < STEPS; step++) {
        uint64_t random = next_random(&state);
        size_t i = random % OBJECTS, bytes = 16 + i * 3;
        if (objects[i] != NULL) {
            CHECK_AT(is_filled(objects[i], 16, i + (size_t)number), number, i);
            free(objects[i]);
        }
        objects[i] = malloc(bytes);
        fill(objects[i], 16, i + (size_t)number);
    }
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    free(objects);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}
