// Proves that such values of threads that have ended keep nothing.
// expect-leaks: definitely=120/3
// flags: -pthread
#include "leak.h"

static pthread_key_t key;

static void *work(void *unused) {
    CHECK(pthread_setspecific(key, make(40)) == 0);
    return unused;
}

int main(void) {
    CHECK(pthread_key_create(&key, NULL) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(start(work, NULL), NULL) == 0);
}
