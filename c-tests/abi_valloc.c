// Proves that valloc aligns by the system's page, and that pvalloc rounds the size up to it as well.
#include "test.h"

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t bytes = 0; bytes < 5 * page; bytes += 777) {
        void *p = valloc(bytes), *q = pvalloc(bytes);
        CHECK_AT(p != NULL && is_aligned(p, page) && malloc_usable_size(p) >= bytes, p, bytes);
        size_t rounded = (bytes + page - 1) & ~(page - 1);
        CHECK_AT(q != NULL && is_aligned(q, page) && malloc_usable_size(q) >= rounded, q, bytes);
        memset(q, 1, rounded);
        free(p);
        free(q);
    }
}
