// Proves that mallopt answers for known and unknown parameters, and that no value breaks the allocator.
#include "test.h"

static const int parameters[] = {M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION,
    M_PERTURB, M_ARENA_TEST, M_ARENA_MAX, 12345};

int main(void) {
    for (size_t i = 0; i < COUNT_OF(parameters); i++)
        for (int value = -1; value <= 4096; value = value * 16 + 17) {
            int answer = mallopt(parameters[i], value);
            CHECK_AT(answer == 0 || answer == 1, parameters[i], value);
            void *p = calloc(1, 100);
            CHECK(p != NULL && is_zero(p, 100));
            free(p);
        }
}
