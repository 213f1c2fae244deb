// Proves that static objects are gone before the check: what they free is not reported, what they forget is.
// expect-leaks: definitely=32/1
#include "leak.h"

struct Owner {
    char *freed = new char[64];
    char *forgotten = new char[32];
    ~Owner() {
        delete[] freed;
        freed = forgotten = nullptr;
        Owner *self = this;
        OPAQUE(self);
    }
};
Owner owner;

int main() {}
