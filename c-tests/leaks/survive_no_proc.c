// Proves that a check without /proc finds stacks, data and thread-local storage, and says what it could not see.
// reports: text
// options: leak_at_exit=0
// run:
// run: no-reading
// run: in-place
// expect-stderr-has: besom: not seen: /proc/self/maps can't be read: mappings other than stacks and loaded objects were not searched
// expect-stderr-has: besom: not seen: {seen}
// expect-stderr-has:   definitely lost: 9 bytes in 1 block
// expect-stderr-has:   indirectly lost: 0 bytes in 0 blocks
// expect-exit: 0
// flags: -pthread
#include "leak.h"
#include "forbid.h"

void *kept;
__thread void *local;

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(int count, char **arguments) {
    int reads = count < 2 || strcmp(arguments[1], "no-reading") != 0;
    if (reads) start(hold, NULL), await(1);
    kept = make(40);
    local = make(40);
    void *volatile here = make(40);
    if (!reads) here = make_node((struct node *)here);
    lose(9);
    SAY_TEXT("seen", reads ? "/proc can't be read: threads that libc did not make were not stopped"
                           : "no list of threads could be read: only the calling thread was stopped");
    /* As if it were not mounted. The report has no functions and lines then. */
    const int open[] = {SYS_openat,
#ifdef SYS_open
                        SYS_open
#endif
    };
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) forbid_children();
    if (!reads) forbid_reading();
    forbid(open, COUNT_OF(open), ENOENT);
    besom_leak_check();
    OPAQUE(here);
    exit(0);
}
