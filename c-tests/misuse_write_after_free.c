// Proves that a program writing into memory it has freed can't confuse the allocator: it keeps nothing there.
#include "test.h"

enum { OBJECTS = 2000, ROUNDS = 20 };
static unsigned char *objects[OBJECTS];

/* Every object handed out must still be inside the heap, apart from all others, and keep its contents. */
static void round_trip(size_t bytes, size_t round) {
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(bytes);
        CHECK(objects[i] != NULL && is_aligned(objects[i], owed_alignment(bytes)));
        fill(objects[i], bytes, i + round);
    }
    for (size_t i = 0; i < OBJECTS; i++) CHECK_AT(is_filled(objects[i], bytes, i + round), objects[i], bytes);
    for (size_t i = 0; i < OBJECTS; i++) free(objects[i]);
    for (size_t i = 0; i < OBJECTS; i++) memset(objects[i], 0x41 + (int)(round & 15), bytes);
}

int main(void) {
    static const size_t sizes[] = {8, 16, 48, 64, 256, 1024, 4096, 20000};
    for (size_t round = 0; round < ROUNDS; round++) round_trip(sizes[round % COUNT_OF(sizes)], round);
}
