// Proves that a library may take a lock of its own before a fork which another thread holds while it allocates, also if
// it registers its handlers before besom's constructor runs: besom's own locks are taken last.
// flags: -pthread
// library: first.c link
#include "test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int stop;

static void take(void) { pthread_mutex_lock(&lock); }
static void give(void) { pthread_mutex_unlock(&lock); }

/* Before the constructor of any other library. */
void before_all(void) { CHECK(pthread_atfork(take, give, give) == 0); }

void first_touch(void);

static void *load(void *unused) {
    (void)unused;
    while (!stop) {
        void *held[50];
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < COUNT_OF(held); i++) CHECK((held[i] = malloc(30000 + i * 10000)) != NULL);
        for (size_t i = 0; i < COUNT_OF(held); i++) free(held[i]);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(void) {
    first_touch();
    alarm(60);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, load, NULL) == 0);
    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            free(malloc(100000));
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}
