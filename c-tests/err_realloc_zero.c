// Proves that realloc to 0 bytes frees the object and returns NULL, as glibc's does, without an error.
#include "test.h"

int main(void) {
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 10000; i++) {
        errno = 77;
        CHECK(realloc(malloc(1 * MIB), 0) == NULL && errno == 77);
        CHECK(realloc(malloc(100), 0) == NULL && errno == 77);
        CHECK(reallocarray(malloc(5000), 0, 10) == NULL && errno == 77);
        CHECK(reallocarray(malloc(5000), 10, 0) == NULL && errno == 77);
    }
    size_t after = mallinfo2().uordblks;
    CHECK_AT(after <= before + 1 * MIB, before, after);
}
