// Proves that an object that grows byte by byte and shrinks again keeps its contents, and its place while its class lasts.
#include "test.h"

int main(void) {
    unsigned char *p = malloc(1);
    p[0] = pattern_at(5, 0);
    for (size_t bytes = 2; bytes <= 40000; bytes++) {
        unsigned char *before = p;
        int fits = malloc_usable_size(p) >= bytes;
        p = realloc(p, bytes);
        CHECK_AT(p != NULL && (!fits || p == before), before, bytes);
        p[bytes - 1] = pattern_at(5, bytes - 1);
        if (bytes % 97 == 0) CHECK_AT(is_filled(p, bytes, 5), p, bytes);
    }
    for (size_t bytes = 40000; bytes > 0; bytes -= 7 < bytes ? 7 : bytes) {
        p = realloc(p, bytes);
        CHECK_AT(p != NULL && is_filled(p, bytes, 5), p, bytes);
    }
    free(p);
}
