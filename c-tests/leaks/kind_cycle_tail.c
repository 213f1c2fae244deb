// Proves that what hangs on a lost ring, and a ring that hangs on a lost block, is indirectly lost.
// expect-leaks: definitely=80/2 indirectly=200/5
#include "leak.h"

struct fork {
    struct node *next;
    struct node *other;
    char payload[24];
};

static NOINLINE void ring_with_tail(void) {
    struct fork *first = (struct fork *)make(sizeof *first);
    struct node *second = make_node((struct node *)first);
    first->next = second;
    first->other = make_node(NULL);
}

static NOINLINE void head_with_ring(void) {
    struct node *first = make_node(NULL);
    first->next = make_node(make_node(first));
    /* The head is the only block that nothing points to. */
    make_node(first);
}

int main(void) {
    CHECK(sizeof(struct fork) == 40);
    ring_with_tail();
    head_with_ring();
}
