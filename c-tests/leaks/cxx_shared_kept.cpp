// Proves that an object from make_shared is kept by a shared pointer, whose count's block holds it.
// expect-leaks: definitely=0/0
#include "leak.h"

#include <memory>

std::shared_ptr<long> kept;
std::weak_ptr<long> weak;

static NOINLINE void build() {
    kept = std::make_shared<long>(1);
    auto gone = std::make_shared<long>(2);
    weak = gone;
}

static NOINLINE void leave() { _exit(0); }

int main() {
    build();
    /* Before the static destructors. */
    CHECK(besom_leak_check() == 0);
    leave();
}
