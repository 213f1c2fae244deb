// Proves that of a list whose head is lost the head is definitely lost and the rest indirectly.
// expect-leaks: definitely=40/1 indirectly=39960/999
#include "leak.h"

int main(void) {
    struct node *head = NULL;
    for (int i = 0; i < 1000; i++) head = make_node(head);
}
