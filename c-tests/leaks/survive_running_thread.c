// Proves that a thread that can't be stopped gets memory of the heap also during a check in place.
// reports: some
// options: leak_at_exit=0:stop_timeout=20
// expect-leaks: definitely=9/1
// run:
// run: in-place
// expect-stderr-has: {outcome}
// expect-exit: 0
// flags: -pthread
#include "leak.h"
#include "forbid.h"

#define BLOCKS 300

char *many[20000];
static volatile int done, rounds;

static void *work(void *unused) {
    unsigned long all = ~0UL;
    /* Past libc, which would leave its own signals out. */
    CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8) == 0);
    char *blocks[BLOCKS] = {0};
    /* What only this thread knows, and nobody sees, is not to be reported. */
    __lsan_disable();
    for (int i = 0; !done; i = (i + 1) % BLOCKS) {
        size_t bytes = 50 + 113 * (size_t)i;
        if (blocks[i] != NULL) {
            for (size_t k = 0; k < bytes; k++) CHECK(blocks[i][k] == (char)i);
            free(blocks[i]);
        }
        blocks[i] = (char *)malloc(bytes);
        memset(blocks[i], i, bytes);
        rounds++;
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    __lsan_enable();
    return NULL;
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < COUNT_OF(many); i++) many[i] = (char *)make(64);
    lose(9);
    wipe_stack();
    pthread_t thread = start(work, NULL);
    while (rounds < BLOCKS) usleep(100);
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) {
        SAY_TEXT("outcome", "besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile");
        forbid_children();
    } else {
        SAY_TEXT("outcome", "marked in a copy");
        dprintf(2, "marked in a copy\n");
    }
    for (int i = 0; i < 5; i++) CHECK(besom_leak_check() == 1);
    done = 1;
    pthread_join(thread, NULL);
}
