// Proves that a program may turn the check at exit off.
// expect-leaks: none
#include "leak.h"

int __lsan_is_turned_off(void) { return 1; }

int main(void) { lose(40); }
