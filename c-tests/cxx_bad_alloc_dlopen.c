// Proves that std::bad_alloc is thrown in a C++ library that a C program opens RTLD_LOCAL: libstdc++ is not in the global scope then.
// library: thrower.cpp open
#include "test.h"

int main(void) {
    CHECK(dlsym(RTLD_DEFAULT, "__cxa_throw") == NULL);
    void *library = dlopen(getenv("TEST_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) dprintf(2, "%s\n", dlerror());
    CHECK(library != NULL);
    int (*use_operators)(void) = (int (*)(void))dlsym(library, "use_operators");
    int (*throw_and_catch)(void) = (int (*)(void))dlsym(library, "throw_and_catch");
    CHECK(use_operators() == 5);
    for (int i = 0; i < 100; i++) CHECK(throw_and_catch() == 2);
}
