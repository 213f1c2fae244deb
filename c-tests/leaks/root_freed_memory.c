// Proves that a pointer in freed memory keeps nothing, though the program still points there.
// expect-leaks: definitely=40/1
#include "leak.h"

struct node *dangling;

int main(void) {
    dangling = make_node(make_node(NULL));
    free(dangling);
}
