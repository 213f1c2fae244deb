// Proves what `cxx_static_constructors.cpp` does for a program that contains libbesom.a.
// preload: no the program contains the allocator
// flags: {a} -pthread
// expect-leaks: definitely=1900/12
// expect-function: Loser::Loser()
// expect-function: Loser::~Loser()
#include "cxx_static_constructors.cpp"
