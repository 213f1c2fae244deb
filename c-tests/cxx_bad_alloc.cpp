// Proves that a failing new throws std::bad_alloc, caught through several frames, whose destructors all run.
// build: -O0
// build: -O1
// build: -O2
// build: -O3
#include "test.h"
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

static int destroyed;
struct Guard {
    int *held = new int(7);
    ~Guard() {
        CHECK(*held == 7);
        delete held;
        destroyed++;
    }
};

static volatile std::size_t impossible = std::size_t{1} << 62;

__attribute__((noinline)) static void *make(int form) {
    Guard guard;
    switch (form) {
    case 0: return operator new(impossible);
    case 1: return operator new[](impossible);
    case 2: return operator new(impossible, std::align_val_t{128});
    case 3: return operator new[](impossible, std::align_val_t{128});
    case 4: return new char[impossible];
    default: return new std::string(impossible / 4, 'x');
    }
}

__attribute__((noinline)) static void *deep(int form, int depth) {
    Guard guard;
    std::vector<int> filled(100, depth);
    void *p = depth == 0 ? make(form) : deep(form, depth - 1);
    CHECK(filled[99] == depth);
    return p;
}

int main() {
    for (int round = 0; round < 200; round++)
        for (int form = 0; form < 6; form++) {
            destroyed = 0;
            bool caught = false;
            try {
                deep(form, 10);
            } catch (const std::bad_alloc &error) {
                caught = strstr(error.what(), "bad_alloc") != nullptr;
            } catch (const std::length_error &) {
                caught = form == 5;
            }
            CHECK_AT(caught && destroyed == 12, form, destroyed);
        }
    try {
        Guard guard;
        std::vector<char> all;
        all.reserve(impossible);
        CHECK(!"out of memory");
    } catch (const std::exception &) {
    }
}
