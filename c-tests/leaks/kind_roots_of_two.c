// Proves that a block that two lost blocks hold is indirectly lost, and one that a kept block holds as well is reachable.
// expect-leaks: definitely=120/3 indirectly=40/1 reachable=80/2
#include "leak.h"

struct node *kept;

static NOINLINE void build(void) {
    struct node *shared = make_node(NULL);
    make_node(shared);
    make_node(shared);
    kept = make_node(make_node(NULL));
    make_node(kept->next);
}

int main(void) { build(); }
