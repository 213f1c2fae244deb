// Proves that an object to which only a pointer to its second base leads is possibly lost, never definitely.
// expect-leaks: possibly=40/1
// expect-exit: 0
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
