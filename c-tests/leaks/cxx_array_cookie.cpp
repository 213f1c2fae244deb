// Proves that an array of objects with destructors is kept by the pointer behind its cookie, and lost with the cookie's bytes.
// expect-leaks: definitely=88/1
#include "leak.h"

struct Object {
    long a = 1, b = 2;
    ~Object() { a = 0; }
};
Object *kept;

static NOINLINE void lose_array() {
    Object *p = new Object[5];
    OPAQUE(p);
}

int main() {
    kept = new Object[10];
    lose_array();
}
