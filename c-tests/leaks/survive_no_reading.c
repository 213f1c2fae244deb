// Proves that a filter against process_vm_readv does not matter in a copy: data of objects is still known.
// expect-leaks: definitely=9/1
// options: use_mappings=0
// run:
// run: threads
// flags: -pthread
#include "leak.h"
#include "forbid.h"

/* Behind the file's own pages. */
void *kept[100000];

static void *hold(void *unused) {
    void *volatile p = make(40);
    stay();
    return p;
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < COUNT_OF(kept); i += 1000) kept[i] = make(40);
    if (count > 1) {
        start(hold, NULL);
        await(1);
    }
    lose(9);
    forbid_reading();
}
