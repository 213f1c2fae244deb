// Proves that LSAN_OPTIONS is read as LeakSanitizer reads it.
// expect-leaks: definitely=40/1
// expect-exit: 77
// env: LSAN_OPTIONS=exitcode=77:use_globals=0,print_suppressions=no verbosity=0
#include "leak.h"

void *kept;

int main(void) { kept = make(40); }
