// Proves that a program that writes a title over its environment gets its report where the options said.
// expect-leaks: definitely=9/1
#include "leak.h"

extern char **environ;

int main(void) {
    for (char **variable = environ; *variable != NULL; variable++) memset(*variable, 't', strlen(*variable));
    lose(9);
}
