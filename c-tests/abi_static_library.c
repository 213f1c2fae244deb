// Proves that a program linked with libbesom.a runs on it without any preload.
// preload: no the program contains the allocator
// flags: {a} -pthread
#include "test.h"
#include "besom.h"

int main(void) {
    Dl_info of_malloc, of_main;
    CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &of_malloc) != 0 && dladdr((void *)main, &of_main) != 0);
    CHECK(of_malloc.dli_fbase == of_main.dli_fbase);
    CHECK(besom_version() != NULL);
    for (size_t bytes = 1; bytes < 4 * MIB; bytes = bytes * 3 / 2 + 1) {
        void *p = calloc(1, bytes);
        CHECK(p != NULL && is_zero(p, bytes));
        free(p);
    }
}
