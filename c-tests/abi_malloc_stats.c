// Proves that malloc_stats writes to standard error, allocates nothing that stays, and can be called again and again.
#include "test.h"

static char text[65536];

int main(void) {
    int ends[2], saved = dup(2);
    CHECK(pipe(ends) == 0);
    void *held = malloc(10 * MIB);
    size_t before = mallinfo2().uordblks;
    CHECK(dup2(ends[1], 2) == 2);
    malloc_stats();
    malloc_stats();
    CHECK(dup2(saved, 2) == 2);
    close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while ((n = read(ends[0], text + length, sizeof text - 1 - length)) > 0) length += (size_t)n;
    CHECK(length > 40 && text[length - 1] == '\n');
    for (size_t i = 0; i < length; i++) CHECK_AT(text[i] == '\n' || text[i] == '\t' || text[i] >= ' ', i, text[i]);
    CHECK(mallinfo2().uordblks <= before + 64 * KIB);
    free(held);
}
