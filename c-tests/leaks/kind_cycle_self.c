// Proves that a block that points to itself is definitely lost.
// expect-leaks: definitely=40/1
#include "leak.h"

int main(void) {
    struct node *node = make_node(NULL);
    node->next = node;
}
