// Proves that what was freed is never counted, also not when its memory serves again.
// expect-leaks: definitely=48/1
#include "leak.h"

static NOINLINE void churn(void) {
    for (int i = 0; i < 10000; i++) free(make((size_t)(i % 700)));
    for (int i = 0; i < 100; i++) free(make(100000));
}

int main(void) {
    churn();
    lose(48);
    churn();
}
