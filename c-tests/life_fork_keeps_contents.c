// Proves that a forked child finds every object as it was, can free and resize it, and that the parent's are not touched by it.
#include "test.h"

enum { OBJECTS = 5000, GENERATIONS = 6 };
static unsigned char *objects[OBJECTS];

static size_t size_of(size_t i) { return 1 + i * 37 % 3000; }

static void check_all(void) {
    for (size_t i = 0; i < OBJECTS; i++) CHECK_AT(is_filled(objects[i], size_of(i), i), i, objects[i]);
}

static void renew_all(void) {
    for (size_t i = 0; i < OBJECTS; i++) {
        free(objects[i]);
        objects[i] = malloc(size_of(i));
        fill(objects[i], size_of(i), i);
    }
}

int main(void) {
    for (size_t i = 0; i < OBJECTS; i++) objects[i] = NULL;
    renew_all();
    for (int generation = 0; generation < GENERATIONS; generation++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        check_all();
        renew_all();
        check_all();
        if (pid != 0) {
            int status;
            CHECK(waitpid(pid, &status, 0) == pid && status == 0);
            check_all();
            return 0;
        }
    }
}
