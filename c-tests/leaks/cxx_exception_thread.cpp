// Proves the same for a thread that waits in a destructor while its stack is unwound, and one that waits in a handler.
// expect-leaks: possibly=538/4
// expect-exit: 0
// flags: -pthread
#include "leak.h"

#include <stdexcept>
#include <string>

struct Waits {
    ~Waits() { stay(); }
};

static NOINLINE void raise_one() { throw std::runtime_error(std::string(100, 'e')); }

static void *unwinding(void *unused) {
    try {
        Waits waits;
        raise_one();
    } catch (const std::exception &) {
    }
    return unused;
}

static void *handling(void *unused) {
    try {
        raise_one();
    } catch (const std::exception &) {
        stay();
    }
    return unused;
}

int main() {
    start(unwinding, nullptr);
    start(handling, nullptr);
    await(2);
}
