// Proves that what constructors and destructors of static objects lose is reported, with its stacks.
// expect-leaks: definitely=1900/12
// expect-function: Loser::Loser()
// expect-function: Loser::~Loser()
#include "leak.h"

static NOINLINE void lose_blocks(int blocks, size_t bytes) {
    for (int i = 0; i < blocks; i++) lose(bytes);
    wipe_stack();
}

struct Loser {
    Loser() { lose_blocks(3, 100); }
    ~Loser() { lose_blocks(4, 300); }
};
Loser loser;

int main() { lose_blocks(5, 80); }
