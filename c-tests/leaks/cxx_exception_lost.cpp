// Proves the same for an exception that a pointer to it outlives, and that exceptions caught and done with leave nothing.
// expect-leaks: possibly=210/2
// expect-exit: 0
#include "leak.h"

#include <exception>
#include <stdexcept>

std::exception_ptr kept;

static NOINLINE void work() {
    for (int i = 0; i < 10; i++) {
        try {
            throw std::runtime_error("done with, and longer than a short string");
        } catch (...) {
            if (i == 5) kept = std::current_exception();
        }
    }
}

int main() {
    work();
    _exit(besom_leak_check());
}
