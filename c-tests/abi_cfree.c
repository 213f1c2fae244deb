// Proves that cfree, which no header declares any more, is there for old binaries and frees.
#include "test.h"

int main(void) {
    void (*cfree)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
    CHECK(cfree != NULL);
    cfree(NULL);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        void *p = malloc(1 * MIB);
        CHECK(p != NULL);
        cfree(p);
        cfree(malloc(100));
    }
    CHECK(mallinfo2().uordblks < before + 8 * MIB);
}
