// Proves that use_tls=0 takes thread-local storage out of the search.
// expect-leaks: definitely=81/2
// options: use_tls=0:use_mappings=0
#include "leak.h"

__thread void *kept;
__thread void *kept_too = (void *)1;

int main(void) {
    kept = make(40);
    kept_too = make(41);
}
