// Proves that a list lost before a node that a global keeps is lost up to there and no further.
// expect-leaks: definitely=40/1 indirectly=1960/49 reachable=2000/50
#include "leak.h"

struct node *middle;

int main(void) {
    struct node *head = NULL;
    for (int i = 0; i < 100; i++) {
        head = make_node(head);
        if (i == 49) middle = head;
    }
}
