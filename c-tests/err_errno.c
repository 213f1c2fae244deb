// Proves that free keeps errno, whatever it has to do, and that no call that succeeds changes it.
#include "misuse.h"

enum { OBJECTS = 20000 };
static void *objects[OBJECTS];

static void kept(void) {
    CHECK(errno == 77);
}

int main(void) {
    errno = 77;
    /* From one object to many, so that caches overflow, spans empty and pages go back to the system. */
    for (size_t bytes = 8; bytes <= 64 * MIB; bytes *= 8) {
        size_t count = bytes < 10000 ? OBJECTS : 1 + 256 * MIB / bytes / 64;
        for (size_t i = 0; i < count; i++) {
            objects[i] = i % 2 ? malloc(bytes) : calloc(1, bytes);
            CHECK(objects[i] != NULL);
            kept();
        }
        for (size_t i = 0; i < count; i += 3) {
            objects[i] = realloc(objects[i], bytes * 2);
            kept();
        }
        for (size_t i = 0; i < count; i++) {
            malloc_usable_size(objects[i]);
            free(objects[i]);
            kept();
        }
        free(aligned_alloc(64 * KIB, bytes));
        free_sized(malloc(bytes), bytes);
        kept();
    }
    malloc_trim(0);
    free(NULL);
    kept();
}
