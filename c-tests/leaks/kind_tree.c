// Proves that of a lost tree the root is definitely lost, the rest indirectly, shared leaves once.
// expect-leaks: definitely=40/1 indirectly=1240/31
#include "leak.h"

struct tree {
    struct tree *left, *right;
    void *shared;
    char payload[16];
};
uintptr_t shared;

static NOINLINE struct tree *grow(int depth) {
    struct tree *tree = (struct tree *)make(sizeof *tree);
    tree->left = depth > 0 ? grow(depth - 1) : NULL;
    tree->right = depth > 0 ? grow(depth - 1) : NULL;
    tree->shared = reveal(shared);
    return tree;
}

int main(void) {
    CHECK(sizeof(struct tree) == 40);
    shared = make_hidden(40);
    grow(4);
}
