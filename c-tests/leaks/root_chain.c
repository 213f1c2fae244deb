// Proves that a list hung on a global is reachable to its end.
// expect-leaks: reachable=400000/10000
#include "leak.h"

struct node *head;

int main(void) {
    for (int i = 0; i < 10000; i++) head = make_node(head);
}
