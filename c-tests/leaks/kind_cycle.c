// Proves that a ring of lost blocks counts as one definitely lost block that holds the others.
// expect-leaks: definitely=40/1 indirectly=80/2
#include "leak.h"

int main(void) {
    struct node *first = make_node(NULL);
    first->next = make_node(make_node(first));
}
