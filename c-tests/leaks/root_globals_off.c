// Proves that use_globals=0 takes the program's data out of the search.
// expect-leaks: definitely=40/1
// options: use_globals=0
#include "leak.h"

void *kept;

int main(void) { kept = make(40); }
