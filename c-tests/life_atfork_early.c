// Proves that pthread_atfork handlers that were registered before besom's can allocate and free,
// before the fork and on both sides of it.
// flags: -pthread
// library: first.c link
#include "test.h"

static volatile int stop;
static int handled;
static void *held[16];

static void use_the_heap(void) {
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        free(held[i]);
        held[i] = malloc((size_t)1 << (i + 3));
        CHECK(held[i] != NULL);
    }
    /* More of one class than a cache holds, and large ones that grow. */
    static void *many[3000];
    for (size_t i = 0; i < COUNT_OF(many); i++) CHECK((many[i] = malloc(200)) != NULL);
    for (size_t i = 0; i < COUNT_OF(many); i++) free(many[i]);
    void *grows = malloc(100 * KIB);
    for (size_t bytes = 200 * KIB; bytes < 3 * MIB; bytes *= 2) CHECK((grows = realloc(grows, bytes)) != NULL);
    free(grows);
    CHECK(mallinfo2().uordblks > 0);
    malloc_trim(0);
    handled++;
}

/* Before the constructor of any other library. */
void before_all(void) { CHECK(pthread_atfork(use_the_heap, use_the_heap, use_the_heap) == 0); }

void first_touch(void);

static void *load(void *unused) {
    (void)unused;
    for (size_t i = 0; !stop; i++) free(malloc(i * 13 % 100000));
    return NULL;
}

int main(void) {
    first_touch();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, load, NULL) == 0);
    for (int i = 0; i < 60; i++) {
        handled = 0;
        pid_t pid = fork();
        CHECK(pid >= 0);
        CHECK(handled == 2);
        if (pid == 0) {
            alarm(60);
            use_the_heap();
            /* The child can have a child, and a thread. */
            if (i % 20 == 0) {
                pid_t grandchild = fork();
                if (grandchild == 0) _exit(0);
                int status;
                CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
                pthread_t thread;
                stop = 1;
                CHECK(pthread_create(&thread, NULL, load, NULL) == 0 && pthread_join(thread, NULL) == 0);
            }
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}
