// Proves that a program without leaks writes no report as text.
// reports: text
// expect-exit: 0
#include "leak.h"

void *kept;

int main(void) { kept = make(40); }
