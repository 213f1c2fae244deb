// Proves that a C++ library can be opened, used and closed many times, and that its objects can be freed after it is gone.
// library: plugin.cpp open
#include "test.h"

int main(void) {
    size_t warm = 0;
    for (int i = 0; i < 500; i++) {
        void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) dprintf(2, "%s\n", dlerror());
        CHECK(library != NULL);
        int *(*make)(int) = (int *(*)(int))dlsym(library, "plugin_make");
        int *made = make(i);
        CHECK(dlclose(library) == 0);
        CHECK(*made == i);
        free(made);
        if (i == 50) warm = mallinfo2().uordblks;
    }
    CHECK_AT(mallinfo2().uordblks < warm + 256 * KIB, warm, mallinfo2().uordblks);
}
