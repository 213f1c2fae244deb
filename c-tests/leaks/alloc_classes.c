// Proves that a lost block of every size class is counted exactly.
// expect-leaks: definitely=372768/67
#include "leak.h"

int main(void) {
    for (size_t i = 0; i < COUNT_OF(class_bytes); i++) lose(class_bytes[i]);
}
