// Proves that leak_at_exit=0 turns the check at exit off.
// expect-leaks: none
// options: leak_at_exit=0
#include "leak.h"

int main(void) { lose(40); }
