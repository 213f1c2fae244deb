// Proves that stacks in a library that was closed keep its names, also with another library in its place.
// reports: text
// expect-stderr-has: 56 bytes in 1 block is definitely lost, allocated from:
// expect-stderr-has:     #0 {*} in keeper_make {*}/keeper.c:{*} ({*}/libkeeper_c.so+{*}) (unloaded)
// expect-stderr-has: 57 bytes in 1 block is definitely lost, allocated from:
// expect-stderr-has:     #0 {*} in other_make {*}/keeper_other.c:{*} ({*}/libkeeper_other_c.so+{*}) (unloaded)
// expect-stderr-has: 58 bytes in 1 block is definitely lost, allocated from:
// expect-stderr-has: 59 bytes in 1 block is still reachable, allocated from:
// expect-stderr-has:     #0 {*} in other_make {*}/keeper_other.c:{*} ({*}/libkeeper_other_c.so+{*})
// options: show_reachable=1
// expect-exit: 23
// library: keeper_other.c open
// library: keeper.c open
#include "leak.h"

/* The first address of the library, which is open and has made a block of so many bytes. */
static NOINLINE void *open_and_make(const char *path, const char *function, size_t bytes, void **library) {
    *library = dlopen(path, RTLD_NOW);
    CHECK(*library != NULL);
    void (*make_and_keep)(size_t) = (void (*)(size_t))dlsym(*library, function);
    make_and_keep(bytes);
    Dl_info info;
    CHECK(dladdr((void *)make_and_keep, &info) != 0);
    return info.dli_fbase;
}

int main(void) {
    char other[4096];
    const char *path = getenv("TEST_LIBRARY");
    snprintf(other, sizeof other, "%.*s/libkeeper_other_c.so", (int)(strrchr(path, '/') - path), path);
    void *library;
    void *first = open_and_make(path, "keeper_make", 56, &library);
    CHECK(dlclose(library) == 0);
    void *second = open_and_make(other, "other_make", 57, &library);
    CHECK_AT(first == second, first, second);
    CHECK(dlclose(library) == 0);
    void *third = open_and_make(path, "keeper_make", 58, &library);
    CHECK_AT(first == third, first, third);
    CHECK(dlclose(library) == 0);
    /* Not unmapped at the end: another copy, elsewhere. */
    void *space = mmap((void *)first, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(space == first);
    CHECK(open_and_make(other, "other_make", 59, &library) != first);
}
