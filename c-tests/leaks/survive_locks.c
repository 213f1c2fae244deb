// Proves that a check needs no lock of libc's that a stopped thread holds: in dlopen, stdio, malloc, pthread_create.
// reports: some
// options: leak_at_exit=0
// expect-leaks: definitely=9/1
// run:
// run: in-place
// expect-stderr-has: {outcome}
// expect-exit: 0
// flags: -pthread
// library: waiting.c open
#include "leak.h"
#include "forbid.h"

static FILE *stream;
static volatile int done;

/* Called by the library's constructor, under the dynamic linker's lock. */
void waiting_hook(void) { stay(); }

static void *in_dlopen(void *unused) { return dlopen(getenv("TEST_LIBRARY"), RTLD_NOW); }

static void *in_stdio(void *unused) {
    void *volatile p = make(40);
    flockfile(stream);
    flockfile(stdout);
    stay();
    return p;
}

static void *in_malloc(void *seed) {
    char *volatile blocks[50] = {0};
    unsigned at = (unsigned)(uintptr_t)seed;
    arrive();
    while (!done) {
        at = at * 1103515245 + 12345;
        char *volatile *place = &blocks[at / 65536 % COUNT_OF(blocks)];
        free(*place);
        *place = NULL;
        *place = (char *)malloc(at / 4096 % 70000);
    }
    for (size_t i = 0; i < COUNT_OF(blocks); i++) free(blocks[i]);
    return NULL;
}

static void *nothing(void *unused) { return unused; }

static void *in_pthread_create(void *unused) {
    arrive();
    while (!done) {
        pthread_t thread;
        /* Not where no thread can be made any more. */
        if (pthread_create(&thread, NULL, nothing, NULL) == 0) CHECK(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

int main(int count, char **arguments) {
    stream = fopen("/dev/null", "w");
    CHECK(stream != NULL && setvbuf(stream, (char *)make(4096), _IOFBF, 4096) == 0);
    lose(9);
    wipe_stack();
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) {
        SAY_TEXT("outcome", "besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile");
    } else {
        SAY_TEXT("outcome", "marked in a copy");
        dprintf(2, "marked in a copy\n");
    }
    start(in_dlopen, NULL);
    start(in_stdio, NULL);
    pthread_t others[] = {start(in_malloc, (void *)1), start(in_malloc, (void *)2), start(in_pthread_create, NULL)};
    await(5);
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) forbid_children();
    for (int i = 0; i < 20; i++) CHECK(besom_leak_check() == 1);
    done = 1;
    for (size_t i = 0; i < COUNT_OF(others); i++) pthread_join(others[i], NULL);
    /* exit would wait for the locks. */
    _exit(0);
}
