// Proves that a check that runs out of memory at any point fails with a line, or works, and does no harm.
// reports: text
// options: leak_at_exit=0
// run:
// run: in-place
// expect-stderr-has: besom: leak check failed: {*}
// expect-stderr-has: SUMMARY: besom: 9 byte(s) leaked in 1 allocation(s).
// expect-stdout: checks failed and others worked
#include "leak.h"
#include "forbid.h"

#include <sys/resource.h>

char *many[3000];

/* Bytes of address space in use. */
static size_t in_use(void) {
    char text[64] = {0};
    int file = open("/proc/self/statm", O_RDONLY);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0 && close(file) == 0);
    return (size_t)atol(text) * KERNEL_PAGE;
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < COUNT_OF(many); i++) many[i] = (char *)make(100 + i);
    lose(9);
    wipe_stack();
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) forbid_children();
    CHECK(besom_leak_check() == 1);
    int failed = 0, worked = 0;
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    size_t before = in_use();
    /* In steps that no one request is smaller than, and then coarser ones. */
    for (size_t room = 0; room < 80 * MIB; room += room < 4 * MIB ? 256 * KIB : 2 * MIB) {
        struct rlimit tight = {in_use() + room, limit.rlim_max};
        CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
        int result = besom_leak_check();
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        CHECK(result == 1 || result == -1);
        *(result == 1 ? &worked : &failed) += 1;
        /* The heap is as it was. */
        for (size_t i = 0; i < COUNT_OF(many); i += 7) {
            CHECK(many[i][99] == 1);
            free(many[i]);
            many[i] = (char *)make(100 + i);
        }
    }
    /* What a check that failed had mapped is gone, too. */
    CHECK_AT(in_use() < before + 16 * MIB, before, in_use());
    CHECK_AT(failed > 3 && worked > 3, failed, worked);
    printf("checks failed and others worked");
}
