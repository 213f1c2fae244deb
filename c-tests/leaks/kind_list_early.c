// Proves that a list which the constructor of a library begins and main goes on with is lost as any other.
// library: registry.cpp link
// expect-leaks: definitely=40/1 indirectly=4000/100
// expect-function: registry_add
#include "leak.h"

void registry_add(void);
void registry_forget(void);

int main(void) {
    for (int i = 0; i < 100; i++) registry_add();
    registry_forget();
}
