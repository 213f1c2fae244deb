// Proves that what a shared library loses when it is initialised and when it is finalised is reported, with its stacks.
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
