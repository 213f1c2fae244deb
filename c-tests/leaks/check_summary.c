// Proves that besom_leak_check_summary counts every kind.
// expect-leaks: definitely=40/1 indirectly=40/1 possibly=100/1
// expect-exit: 23
// options: leak_at_exit=0
#include "leak.h"

void *kept;
char *inside;

static NOINLINE void build(void) {
    kept = make(30);
    inside = (char *)make(100) + 50;
    make_node(make_node(NULL));
    wipe_stack();
}

int main(void) {
    struct besom_leak_summary summary;
    memset(&summary, 0, sizeof summary);
    CHECK(besom_leak_check_summary(NULL) == -1 && errno == EINVAL);
    CHECK(besom_leak_check_summary(&summary) == -1 && errno == EINVAL);
    build();
    summary.size = sizeof summary;
    CHECK(besom_leak_check_summary(&summary) == 1);
    CHECK(summary.size == sizeof summary);
    CHECK(summary.definitely_lost.bytes == 40 && summary.definitely_lost.blocks == 1);
    CHECK(summary.indirectly_lost.bytes == 40 && summary.indirectly_lost.blocks == 1);
    CHECK(summary.possibly_lost.bytes == 100 && summary.possibly_lost.blocks == 1);
    CHECK(summary.still_reachable.bytes >= 30 && summary.still_reachable.blocks >= 1);
    return 23;
}
