// Proves that atexit handlers, static destructors and ELF destructors can allocate and free, in whatever order they run.
// build: -O0
// build: -O2
#include "test.h"
#include <map>
#include <string>

struct Registry {
    std::map<int, std::string> entries;
    Registry() {
        for (int i = 0; i < 1000; i++) entries[i] = std::string(i, 'r');
    }
    ~Registry() {
        for (int i = 0; i < 1000; i++) CHECK(entries[i].size() == static_cast<size_t>(i));
        for (int i = 1000; i < 2000; i++) entries[i] = std::string(i, 's');
    }
};

static Registry registry;
static void *kept[100];

static void at_exit() {
    for (void *&p : kept) {
        free(p);
        p = malloc(3000);
        CHECK(p != nullptr);
    }
    CHECK(atexit([] { free(malloc(70000)); }) == 0);
}

__attribute__((destructor)) static void last() {
    for (void *p : kept) free(p);
    delete new std::string(5000, 'x');
}

int main() {
    for (void *&p : kept) p = malloc(100);
    /* More handlers than libc has static room for: it allocates while exit runs. */
    for (int i = 0; i < 100; i++) CHECK(atexit(at_exit) == 0);
}
