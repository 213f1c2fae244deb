// Proves that what functions of the C library hand out is counted.
// expect-leaks: definitely=19/2
#include "leak.h"

static NOINLINE void lose_strings(void) {
    char *p = strdup("besom");
    OPAQUE(p);
    p = strndup("twelve chars and more", 12);
    OPAQUE(p);
}

int main(void) { lose_strings(); }
