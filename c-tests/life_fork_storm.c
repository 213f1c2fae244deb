// Proves that fork under load from many threads leaves children that can allocate, start threads and exit: no lock is left held.
// flags: -pthread
#include "test.h"

enum { THREADS = 6, FORKS = 120, CHILD_SECONDS = 60 };
static volatile int stop;

/* All kinds of slow paths: caches overflow, spans come and go, large objects move. */
static void work(uint64_t *state, size_t steps) {
    void *objects[256] = {0};
    for (size_t i = 0; i < steps && !stop; i++) {
        uint64_t random = next_random(state);
        void **slot = &objects[random % 256];
        size_t bytes = 1 + (random >> 20) % (16UL << (random >> 8) % 14);
        if (random >> 63)
            *slot = realloc(*slot, bytes);
        else {
            free(*slot);
            *slot = malloc(bytes);
        }
        memset(*slot, 1, bytes < 64 ? bytes : 64);
    }
    for (size_t i = 0; i < 256; i++) free(objects[i]);
}

static void *load(void *seed) {
    uint64_t state = (size_t)seed * 0x9e3779b97f4a7c15UL + 1;
    while (!stop) work(&state, 5000);
    return NULL;
}

static void *short_load(void *seed) {
    uint64_t state = (size_t)seed + 99;
    work(&state, 500);
    return NULL;
}

static void child(size_t number) {
    alarm(CHILD_SECONDS);
    uint64_t state = number + 12345;
    work(&state, 2000);
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, short_load, (void *)i) == 0);
    for (size_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    malloc_trim(0);
    if (number % 16 == 0 && fork() == 0) {
        work(&state, 200);
        exit(0);
    }
    if (number % 2)
        exit(0);
    else
        _exit(0);
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, load, (void *)i) == 0);
    for (size_t i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) child(i);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_AT(status == 0, i, status);
    }
    stop = 1;
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}
