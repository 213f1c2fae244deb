// Proves that an exception in flight, to whose middle the C++ library points, is at most possibly lost, with its text.
// expect-leaks: possibly=218/2
// expect-exit: 0
#include "leak.h"

#include <stdexcept>

static NOINLINE void raise_one() { throw std::runtime_error("in flight, with a text longer than a short string"); }

int main() {
    try {
        raise_one();
    } catch (const std::exception &) {
        exit(0);
    }
}
