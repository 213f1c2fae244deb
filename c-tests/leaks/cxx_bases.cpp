// Proves that a pointer to the second base of an object with virtual functions keeps the object.
// expect-leaks: definitely=0/0 possibly=0/0
#include "leak.h"

struct First {
    virtual ~First() = default;
    long a = 1;
};
struct Second {
    virtual ~Second() = default;
    long b = 2;
};
struct Both : First, Second {
    long c = 3;
};
Second *kept;

int main() { kept = new Both; }
