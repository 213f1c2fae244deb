// Proves that a program that closed its standard files is checked, and the report goes to none of its own.
// expect-leaks: definitely=9/1
#include "leak.h"

int main(void) {
    for (int fd = 0; fd < 100; fd++) close(fd);
    lose(9);
}
