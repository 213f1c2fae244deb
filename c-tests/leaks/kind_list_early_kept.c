// Proves that a list which the constructor of a library begins and main goes on with is reachable from the library's data.
// library: registry.cpp link
// expect-leaks: definitely=0/0 indirectly=0/0 possibly=0/0
#include "leak.h"

void registry_add(void);

int main(void) {
    for (int i = 0; i < 100; i++) registry_add();
}
