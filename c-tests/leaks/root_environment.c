// Proves that what putenv and setenv keep is reachable.
// expect-leaks: definitely=0/0
#include "leak.h"

int main(void) {
    char *text = (char *)make(40);
    memcpy(text, "BESOM_TEST=1", 13);
    CHECK(putenv(text) == 0);
    CHECK(setenv("BESOM_TEST_TOO", "2", 1) == 0);
}
