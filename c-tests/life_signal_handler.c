// Proves that a signal handler which allocates and frees small objects neither hangs nor disturbs the malloc or free it interrupts.
// skip: locked, a handler can interrupt the holder of a cache's lock; only the lock-free caches promise to work there
// skip: unregistered, a handler can interrupt the holder of a cache's lock; only the lock-free caches promise to work there
#include "test.h"
#include <sys/time.h>

enum { PREFILL = 32, LIVE = 4, SIGNALS = 20000, MICROSECONDS = 50 };
static volatile sig_atomic_t signals;
static const size_t sizes[] = {16, 64, 200};

/* Objects marked with their owner, a few at a time, out of the cache and back into it. */
static void hold_some(size_t bytes, unsigned char owner) {
    unsigned char *objects[LIVE];
    for (size_t i = 0; i < LIVE; i++) {
        objects[i] = malloc(bytes);
        memset(objects[i], owner + (int)i, bytes);
    }
    for (size_t i = 0; i < LIVE; i++)
        for (size_t k = 0; k < bytes; k++) CHECK_AT(objects[i][k] == (unsigned char)(owner + i), objects[i], k);
    for (size_t i = 0; i < LIVE; i++) free(objects[i]);
}

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    hold_some(sizes[signals % COUNT_OF(sizes)], 0x80);
    errno = saved;
    signals++;
}

/* Enough objects of each size lie in the one cache that this CPU's thread uses: no slow path is taken. */
static void prefill(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (int round = 0; round < 20; round++) {
            void *objects[PREFILL];
            for (size_t i = 0; i < PREFILL; i++) objects[i] = malloc(sizes[s]);
            for (size_t i = 0; i < PREFILL; i++) free(objects[i]);
        }
}

int main(void) {
    prefill();
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval timer = {{0, MICROSECONDS}, {0, MICROSECONDS}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    while (signals < SIGNALS)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) hold_some(sizes[s], 0x10);
    timer.it_value.tv_usec = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
}
