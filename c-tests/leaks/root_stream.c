// Proves that an open stream is reachable, and a directory that nobody closed is lost.
// expect-leaks: definitely=32816/1
#include "leak.h"

#include <dirent.h>

static NOINLINE void open_both(void) {
    FILE *stream = fopen("/dev/null", "w");
    CHECK(stream != NULL && fputs("text", stream) >= 0);
    DIR *directory = opendir("/");
    CHECK(directory != NULL);
    OPAQUE(directory);
}

int main(void) { open_both(); }
