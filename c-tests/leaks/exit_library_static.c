// Proves what `exit_library.c` does for a program that contains libbesom.a.
// preload: no the program contains the allocator
// flags: {a} -pthread
// library: losing.c link
// expect-leaks: definitely=4240/14
// expect-function: losing_construct
// expect-function: losing_destruct
#include "leak.h"

void losing_touch(void);

int main(void) {
    losing_touch();
    lose(40);
}
