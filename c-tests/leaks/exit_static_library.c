// Proves that a program linked with libbesom.a reports its leaks.
// preload: no the program contains the allocator
// flags: {a} -pthread
// expect-leaks: definitely=40/1
#include "leak.h"

int main(void) { lose(40); }
