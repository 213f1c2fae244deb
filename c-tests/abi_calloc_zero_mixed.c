// Proves that calloc's memory is zero when its pages were used by objects of other sizes, cut and joined before.
#include "test.h"

enum { OBJECTS = 300, STEPS = 20000 };
static unsigned char *objects[OBJECTS];

int main(void) {
    uint64_t state = 4101842887655102017UL;
    for (int step = 0; step < STEPS; step++) {
        uint64_t random = next_random(&state);
        size_t i = random % OBJECTS, scale = (random >> 12) % 18;
        size_t bytes = 1 + (random >> 20) % (8UL << scale);
        free(objects[i]);
        objects[i] = random & (1UL << 60) ? calloc(1, bytes) : NULL;
        if (objects[i] == NULL)
            objects[i] = malloc(bytes);
        else
            CHECK_AT(is_zero(objects[i], bytes), objects[i], bytes);
        memset(objects[i], 0xc3, bytes);
        if (random >> 54 == 0) malloc_trim(0);
    }
}
