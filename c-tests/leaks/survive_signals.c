// Proves that signals whose handlers allocate may come during checks: what they get is the heap's.
// reports: some
// options: leak_at_exit=0
// expect-leaks: definitely=9/1
// run:
// run: in-place
// expect-stderr-has: {outcome}
// expect-exit: 0
#include "leak.h"
#include "forbid.h"

#include <sys/time.h>

#define KEPT 4000

char *kept[KEPT], *many[20000];
static volatile int signals, in_check;

static void on_alarm(int number) {
    /* Elsewhere the signal may have interrupted the allocator. */
    if (!in_check || signals >= KEPT) return;
    char *p = (char *)malloc(100);
    if (p != NULL) memset(p, 7, 100);
    kept[signals] = p;
    signals++;
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < COUNT_OF(many); i++) many[i] = (char *)make(64);
    lose(9);
    wipe_stack();
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) {
        SAY_TEXT("outcome", "besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile");
        forbid_children();
    } else {
        SAY_TEXT("outcome", "marked in a copy");
        dprintf(2, "marked in a copy\n");
    }
    signal(SIGALRM, on_alarm);
    struct itimerval often = {{0, 300}, {0, 300}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 30; i++) {
        in_check = 1;
        CHECK(besom_leak_check() == 1);
        in_check = 0;
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(signals > 0);
    for (int i = 0; i < signals; i++) {
        CHECK(kept[i] != NULL);
        for (int k = 0; k < 100; k++) CHECK(kept[i][k] == 7);
        free(kept[i]);
    }
    exit(0);
}
