// Proves that a child made by clone which shares memory and thread pointer with its parent can allocate while the parent waits, as after vfork.
#include "test.h"

static unsigned char *made;

/* The child uses the parent's thread area; the kernel has it registered for the parent alone, so they
   can't run at the same time: CLONE_VFORK. */
static int child(void *unused) {
    (void)unused;
    for (size_t n = 1; n < 1000000; n = n * 2 + 1) free(malloc(n));
    made = malloc(5000);
    fill(made, 5000, 8);
    return 0;
}

int main(void) {
    static char stack[64 * KIB] __attribute__((aligned(64)));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    for (int i = 0; i < 200; i++) {
        int status;
        pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK_AT(status == 0, status, i);
        CHECK(is_filled(made, 5000, 8));
        free(made);
    }
}
