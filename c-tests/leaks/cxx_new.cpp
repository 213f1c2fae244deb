// Proves that objects and arrays from every kind of new are counted.
// expect-leaks: definitely=512/5
// expect-function: lose_all()
#include "leak.h"

#include <new>

struct alignas(64) Wide {
    char bytes[128];
};

static NOINLINE void lose_all() {
    void *p = new char[40];
    OPAQUE(p);
    p = new (std::nothrow) char[80];
    OPAQUE(p);
    p = new long;
    OPAQUE(p);
    p = new Wide;
    OPAQUE(p);
    p = new Wide[2];
    OPAQUE(p);
}

int main() { lose_all(); }
