// Proves that shared pointers in a ring count as one definitely lost object and one indirectly.
// expect-leaks: definitely=40/1 indirectly=40/1
#include "leak.h"

#include <memory>

struct Node {
    std::shared_ptr<Node> other;
    long payload = 1;
};

static NOINLINE void build() {
    auto a = std::make_shared<Node>();
    auto b = std::make_shared<Node>();
    a->other = b;
    b->other = a;
}

int main() { build(); }
