// Proves that objects allocated in some threads and freed in others keep their contents, and that their memory comes round again.
// flags: -pthread
#include "test.h"
#include <stdatomic.h>

enum { PAIRS = 3, SLOTS = 512, OBJECTS = 300000 };

struct queue {
    _Atomic(unsigned char *) slots[SLOTS];
};
static struct queue queues[PAIRS];

static size_t size_of(size_t i) { return 16 + (i * 2654435761U >> 7) % (i % 1000 == 0 ? 60000 : i % 50 == 0 ? 5000 : 300); }

static void *produce(void *argument) {
    struct queue *queue = argument;
    for (size_t i = 0; i < OBJECTS; i++) {
        unsigned char *p = malloc(size_of(i));
        fill(p, size_of(i) < 128 ? size_of(i) : 128, i);
        while (atomic_load_explicit(&queue->slots[i % SLOTS], memory_order_acquire) != NULL) sched_yield();
        atomic_store_explicit(&queue->slots[i % SLOTS], p, memory_order_release);
    }
    return NULL;
}

static void *consume(void *argument) {
    struct queue *queue = argument;
    for (size_t i = 0; i < OBJECTS; i++) {
        unsigned char *p;
        while ((p = atomic_load_explicit(&queue->slots[i % SLOTS], memory_order_acquire)) == NULL) sched_yield();
        CHECK_AT(is_filled(p, size_of(i) < 128 ? size_of(i) : 128, i), i, p);
        atomic_store_explicit(&queue->slots[i % SLOTS], NULL, memory_order_release);
        free(p);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[2 * PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        CHECK(pthread_create(&threads[2 * i], NULL, produce, &queues[i]) == 0);
        CHECK(pthread_create(&threads[2 * i + 1], NULL, consume, &queues[i]) == 0);
    }
    for (int i = 0; i < 2 * PAIRS; i++) pthread_join(threads[i], NULL);
    CHECK_AT(resident_bytes() < 128 * MIB, resident_bytes(), 0);
}
