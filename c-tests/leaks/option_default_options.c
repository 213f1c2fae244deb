// Proves that options of the program itself are used, after those of the environment.
// expect-leaks: definitely=8/1
// expect-exit: 9
// env: LSAN_OPTIONS=exitcode=9
#include "leak.h"

const char *__lsan_default_options(void) { return "exitcode=5:use_unaligned=1"; }

static char odd[64] __attribute__((aligned(8)));

int main(void) {
    void *p = make(40);
    memcpy(odd + 3, &p, sizeof p);
    p = NULL;
    lose(8);
}
