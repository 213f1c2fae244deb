// Proves that a program can lock all its memory: of what besom reserves nothing becomes memory, and the program goes on.
#include "test.h"

int main(void) {
    void *before = malloc(1000);
    size_t resident = resident_bytes();
    alarm(120);
    if (mlockall(MCL_CURRENT) != 0) {
        /* Without the privilege the reservation is too large to be locked. */
        CHECK(errno == ENOMEM || errno == EPERM);
        dprintf(1, "SKIPPED: no privilege to lock memory\n");
        return 0;
    }
    CHECK_AT(resident_bytes() < resident + 64 * MIB, resident, resident_bytes());
    free(before);
    for (size_t bytes = 1; bytes < 16 * MIB; bytes *= 3) {
        char *object = malloc(bytes);
        CHECK(object != NULL);
        fill(object, bytes, bytes);
        CHECK(is_filled(object, bytes, bytes));
        free(object);
    }
    malloc_trim(0);
}
