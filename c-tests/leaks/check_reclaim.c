// Proves that reclaim=1 frees what two checks running found lost, and nothing else: with the requests that follow.
// expect-leaks: definitely=1000000/1000
// expect-leaks: definitely=1000000/1000
// expect-leaks: definitely=0/0
// expect-exit: 0
// options: reclaim=1
#include "leak.h"

void *kept[1000];

static NOINLINE void build(void) {
    for (int i = 0; i < 1000; i++) {
        kept[i] = make(1000);
        lose(1000);
    }
    wipe_stack();
}

static size_t in_use(void) { return mallinfo2().uordblks; }

int main(void) {
    build();
    size_t before = in_use();
    CHECK(besom_leak_check() == 1);
    CHECK_AT(in_use() > before - 100 * KIB, before, in_use());
    for (int i = 0; i < 1000; i++) free(make(100));
    CHECK_AT(in_use() > before - 100 * KIB, before, in_use());
    CHECK(besom_leak_check() == 1);
    /* The check itself frees nothing, a request a little, and enough of them all. */
    size_t last = in_use();
    CHECK_AT(last > before - 100 * KIB, before, last);
    for (int i = 0; i < 200; i++) {
        free(make(100));
        size_t now = in_use();
        CHECK_AT(now <= last && last - now <= 16 * 1024, last, now);
        last = now;
    }
    CHECK_AT(last < before - 900 * KIB && last > before - 1100 * KIB, before, last);
    for (int i = 0; i < 1000; i++) CHECK(((char *)kept[i])[999] == 1);
    for (int i = 0; i < 1000; i++) free(make(1000));
}
