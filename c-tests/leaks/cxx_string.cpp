// Proves that a global string keeps its text, and that a lost one loses it indirectly.
// expect-leaks: definitely=64/2 indirectly=101/1
#include "leak.h"

#include <string>

std::string *kept;

static NOINLINE void lose_strings() {
    std::string *p = new std::string(100, 'l');
    OPAQUE(p);
    /* Short: its text lies in the object, which so points into itself. */
    p = new std::string("short");
    OPAQUE(p);
}

int main() {
    kept = new std::string(200, 'k');
    lose_strings();
}
