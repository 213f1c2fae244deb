// Proves that a lost list with links both ways has one definitely lost block.
// expect-leaks: definitely=40/1 indirectly=3960/99
#include "leak.h"

struct link {
    struct link *next, *previous;
    char payload[24];
};

int main(void) {
    CHECK(sizeof(struct link) == 40);
    struct link *head = NULL;
    for (int i = 0; i < 100; i++) {
        struct link *link = (struct link *)make(sizeof *link);
        link->next = head;
        link->previous = NULL;
        if (head != NULL) head->previous = link;
        head = link;
    }
}
