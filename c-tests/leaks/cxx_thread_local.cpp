// Proves that thread-local objects of threads are kept while these live and freed when they end.
// expect-leaks: definitely=0/0
// flags: -pthread
#include "leak.h"

#include <string>
#include <vector>

static thread_local std::string text;
static thread_local std::vector<long> numbers;

static NOINLINE void keep() {
    text.assign(300, 't');
    numbers.assign(1000, 1);
}

static void *hold(void *stays) {
    keep();
    wipe_stack();
    if (stays) stay();
    return nullptr;
}

int main() {
    for (int i = 0; i < 5; i++) CHECK(pthread_join(start(hold, nullptr), nullptr) == 0);
    start(hold, &text);
    await(1);
    keep();
}
