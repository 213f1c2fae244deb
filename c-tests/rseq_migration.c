// Proves that threads that are moved from CPU to CPU and interrupted all the time get no object twice and lose none.
// flags: -pthread
#include "test.h"
#include <sys/time.h>

enum { THREADS = 8, STEPS = 400000, OBJECTS = 64 };
static cpu_set_t allowed;

static void on_signal(int number) { (void)number; }

static void move(size_t step) {
    size_t wanted = step % (size_t)CPU_COUNT(&allowed);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && wanted-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
            return;
        }
}

/* An object holds its owner in every word: two owners of one object would see each other. */
static void *run(void *owner) {
    size_t *objects[OBJECTS] = {0};
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = step * 7 % OBJECTS;
        if (objects[i] != NULL) {
            CHECK_AT(objects[i][0] == (size_t)owner && objects[i][3] == (size_t)owner, objects[i], owner);
            free(objects[i]);
        }
        objects[i] = malloc(32);
        objects[i][0] = objects[i][3] = (size_t)owner;
        if (step % 500 == 0) move(step / 500 + (size_t)owner);
    }
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    return NULL;
}

int main(void) {
    CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    struct itimerval timer = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}
