// Proves that an address on the calling thread's own stack is refused and called that in other threads, too.
// run: free
// run: realloc
// run: usable
// run: free_sized
// run: free_aligned_sized
// run: delete
// expect-signal: ABRT
// flags: -pthread
// expect-stderr: besom: invalid {op}: {p} is on a stack
#include "misuse.h"

static void *thread(void *op) {
    char on_stack[64] __attribute__((aligned(64)));
    void *p = on_stack;
    OPAQUE(p);
    misuse(op, p, 64);
    return NULL;
}

int main(int argc, char **argv) {
    (void)argc;
    pthread_t id;
    CHECK(pthread_create(&id, NULL, thread, argv[1]) == 0);
    pthread_join(id, NULL);
}
