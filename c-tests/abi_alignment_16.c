// Proves that min_align=16 aligns every object of malloc by 16, the smallest too.
// options: min_align=16
#include "test.h"

int main(void) {
    for (size_t bytes = 0; bytes <= 64; bytes++)
        for (int i = 0; i < 100; i++) {
            void *p = malloc(bytes), *q = calloc(bytes, 1);
            CHECK_AT(p != NULL && is_aligned(p, 16), p, bytes);
            CHECK_AT(q != NULL && is_aligned(q, 16), q, bytes);
            if (i % 2) free(p);
            if (i % 3) free(q);
        }
}
