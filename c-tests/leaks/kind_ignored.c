// Proves that ignored blocks are not reported, nor what only they hold.
// expect-leaks: definitely=8/1
#include "leak.h"

static NOINLINE void ignore_some(void) {
    struct node *node = make_node(make_node(NULL));
    __lsan_ignore_object(node);
    char *other = (char *)make(100);
    CHECK(besom_leak_ignore(other + 50) == 0);
    CHECK(besom_leak_ignore(&node) == -1 && errno == EINVAL);
}

int main(void) {
    CHECK(besom_leak_is_on() == 1);
    ignore_some();
    lose(8);
}
