// Proves that a library preloaded after besom can allocate in its constructor and destructor.
// library: early.c preload-after
#include "test.h"

int main(void) {
    char **gift = dlsym(RTLD_DEFAULT, "early_gift");
    CHECK(gift != NULL && strcmp(*gift, "made before main") == 0);
    free(*gift);
    *gift = malloc(100000);
}
