// Proves that thousands of threads can come and go, each freeing what its predecessor allocated, with the contents intact.
// flags: -pthread
#include "test.h"

enum { THREADS = 5000, OBJECTS = 60 };

struct parcel {
    size_t number;
    unsigned char *objects[OBJECTS];
};

static size_t size_of(size_t number, size_t i) { return 1 + (number * 31 + i * i * 17) % (i == 0 ? 50000 : 1500); }

static void *run(void *received) {
    struct parcel *parcel = received, *next = malloc(sizeof *next);
    size_t number = parcel->number;
    next->number = number + 1;
    for (size_t i = 0; i < OBJECTS; i++) {
        CHECK_AT(is_filled(parcel->objects[i], size_of(number, i), i), number, i);
        free(parcel->objects[i]);
        next->objects[i] = malloc(size_of(number + 1, i));
        fill(next->objects[i], size_of(number + 1, i), i);
    }
    free(parcel);
    return next;
}

int main(void) {
    struct parcel *parcel = malloc(sizeof *parcel);
    parcel->number = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        parcel->objects[i] = malloc(size_of(0, i));
        fill(parcel->objects[i], size_of(0, i), i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run, parcel) == 0);
        CHECK(pthread_join(thread, (void **)&parcel) == 0);
    }
    CHECK(parcel->number == THREADS);
}
