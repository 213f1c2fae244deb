// Proves that a list of a million lost blocks is classified without running out of stack.
// expect-leaks: definitely=16/1 indirectly=15999984/999999
#include "leak.h"

struct small {
    struct small *next;
    size_t payload;
};

int main(void) {
    struct small *head = NULL;
    for (int i = 0; i < 1000000; i++) {
        struct small *one = (struct small *)malloc(sizeof *one);
        one->next = head;
        one->payload = 1;
        head = one;
    }
}
