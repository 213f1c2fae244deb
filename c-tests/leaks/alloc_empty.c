// Proves that lost blocks of no bytes are counted.
// expect-leaks: definitely=0/3
#include "leak.h"

int main(void) {
    for (int i = 0; i < 3; i++) lose(0);
}
