// Proves that what a unique pointer released is lost, and that deleting through it is not.
// expect-leaks: definitely=24/1
#include "leak.h"

#include <memory>

struct Object {
    long a = 1, b = 2, c = 3;
};

static NOINLINE void work() {
    auto freed = std::make_unique<Object>();
    auto lost = std::make_unique<Object>();
    void *p = lost.release();
    OPAQUE(p);
}

int main() { work(); }
