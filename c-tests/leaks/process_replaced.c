// Proves that a program that executes another takes its lost blocks with it.
// expect-leaks: definitely=8/1
#include "leak.h"

int main(int count, char **arguments) {
    if (count > 1) {
        lose(8);
        return 0;
    }
    lose(40);
    execl("/proc/self/exe", arguments[0], "inner", (char *)NULL);
    return 1;
}
