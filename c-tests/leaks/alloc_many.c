// Proves that blocks from one place are counted one by one.
// expect-leaks: definitely=5050/100
#include "leak.h"

int main(void) {
    for (size_t bytes = 1; bytes <= 100; bytes++) lose(bytes);
}
