// Proves that check_on__exit=1 checks there, too, and changes the status as at exit; nothing below the caller counts.
// expect-leaks: definitely=40/1
// options: check_on__exit=1
// run:
// run: _Exit
// run: handler
// run: thread
// flags: -pthread
#include "leak.h"

static NOINLINE void *deep(int depth) {
    void *volatile p = make(40);
    if (depth > 0) return deep(depth - 1);
    /* Only the last block is lost: the others are freed, and the stack below main is full of its address. */
    void *volatile copies[200];
    for (int i = 0; i < 200; i++) copies[i] = p;
    return copies[depth];
}

static NOINLINE void lose_deep(void) {
    void *p = deep(0);
    OPAQUE(p);
}

static void end_by_handler(void) { _exit(0); }

static void *end_by_thread(void *unused) {
    await(1);
    _exit(0);
    return NULL;
}

int main(int count, char **arguments) {
    const char *way = count > 1 ? arguments[1] : "";
    /* Live in the frame that ends the process. */
    void *volatile kept = make(100);
    if (strcmp(way, "thread") == 0) {
        start(end_by_thread, NULL);
        lose_deep();
        /* This thread goes on, with no more of the stack than it used. */
        wipe_stack();
        stay();
    }
    lose_deep();
    if (strcmp(way, "handler") == 0) {
        atexit(end_by_handler);
        /* main's frame is over then. */
        free(kept);
        /* The frames of exit, which the handler's caller is, lie where the copies were, and have gaps. */
        wipe_stack();
        return 0;
    }
    if (strcmp(way, "_Exit") == 0) _Exit(0);
    _exit(0);
}
