// Proves that what a suppressed block leads to is suppressed with it, in whichever way it is lost.
// expect-leaks: definitely=8/1 indirectly=0/0 possibly=40/1 suppressed=400/10
// env: LSAN_OPTIONS=suppressions={sources}/leaks/known.supp
#include "leak.h"

char *inside[8];

/* A block of a stack that is suppressed. */
static NOINLINE struct node *known_leak(struct node *next) { return make_node(next); }

static NOINLINE struct node *possibly(int place, struct node *node) {
    inside[place] = (char *)node + 20;
    return node;
}

static NOINLINE void run(void) {
    /* Possibly lost, and what only it holds: 3. */
    possibly(0, known_leak(make_node(make_node(NULL))));
    /* Definitely lost, and what it holds: 2. */
    known_leak(make_node(NULL));
    /* A ring: 2. */
    struct node *ring = known_leak(make_node(NULL));
    ring->next->next = ring;
    /* What it holds is possibly lost by itself: 2. */
    known_leak(possibly(1, make_node(NULL)));
    /* Possibly lost, and not led to by anything suppressed. */
    possibly(2, make_node(NULL));
}

static NOINLINE void lose_head(void) {
    struct node **head = (struct node **)make(8);
    *head = known_leak(NULL);
}

int main(void) {
    run();
    lose_head();
}
