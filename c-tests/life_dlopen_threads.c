// Proves that libraries can be opened and closed while other threads allocate.
// library: plugin.cpp open
// flags: -pthread
#include "test.h"

static volatile int stop;

static void *load(void *unused) {
    (void)unused;
    for (size_t i = 0; !stop; i++) free(calloc(1, i * 31 % 40000));
    return NULL;
}

static void *open_and_close(void *unused) {
    (void)unused;
    for (int i = 0; i < 100; i++) {
        void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_LAZY | RTLD_LOCAL);
        CHECK(library != NULL);
        int *made = ((int *(*)(int))dlsym(library, "plugin_make"))(i);
        CHECK(*made == i);
        free(made);
        CHECK(dlclose(library) == 0);
    }
    return NULL;
}

int main(void) {
    pthread_t loads[3], openers[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&loads[i], NULL, load, NULL) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&openers[i], NULL, open_and_close, NULL) == 0);
    for (int i = 0; i < 3; i++) pthread_join(openers[i], NULL);
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(loads[i], NULL);
}
