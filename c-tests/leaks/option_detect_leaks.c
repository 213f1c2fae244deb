// Proves that LSAN_OPTIONS=detect_leaks=0 turns leak mode off.
// expect-leaks: none
// env: LSAN_OPTIONS=detect_leaks=0
#include "leak.h"

int main(void) { lose(40); }
