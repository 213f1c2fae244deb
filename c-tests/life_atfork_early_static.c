// Proves what `life_atfork_early.c` does for a program that contains libbesom.a, where such handlers run while besom
// holds its locks.
// preload: no the program contains the allocator
// flags: {a} -pthread
// library: first.c link
#include "life_atfork_early.c"
