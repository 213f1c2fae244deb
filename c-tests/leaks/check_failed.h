/* Makes checks fail for want of memory until one has said so, and then no more. */
#ifndef BESOM_C_TESTS_CHECK_FAILED_H
#define BESOM_C_TESTS_CHECK_FAILED_H

#include <sys/resource.h>

/* Whether something has been written to standard error, which is a file of this test. */
static inline int has_said(void) {
    struct stat status;
    CHECK(fstat(2, &status) == 0);
    return status.st_size > 0;
}

static inline void fail_one_check(void (*between)(void)) {
    struct rlimit before, none;
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    for (int i = 0; !has_said(); i++) {
        CHECK(i < 60000);
        between();
        usleep(1000);
    }
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
}

#endif
