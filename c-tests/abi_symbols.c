// Proves that every function of the malloc family that a program can call is besom's, none the C library's.
#include "test.h"

static const char *const names[] = {"malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc",
    "posix_memalign", "valloc", "pvalloc", "cfree", "malloc_usable_size", "free_sized", "free_aligned_sized",
    "malloc_trim", "mallopt", "mallinfo", "mallinfo2", "malloc_stats", "malloc_info"};

int main(void) {
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        void *function = dlsym(RTLD_DEFAULT, names[i]);
        Dl_info info;
        if (function == NULL || dladdr(function, &info) == 0 || strstr(info.dli_fname, "libbesom") == NULL) {
            dprintf(2, "%s is not besom's\n", names[i]);
            return 1;
        }
    }
}
