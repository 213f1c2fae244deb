// Proves that destructors of thread_local objects and of pthread keys can allocate and free while their thread ends.
// build: -O2
// flags: -pthread
#include "test.h"
#include <atomic>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> destroyed;
static pthread_key_t key;

struct Local {
    std::vector<std::string> texts;
    ~Local() {
        for (const auto &text : texts) CHECK(text == std::string(200, 'l'));
        texts.emplace_back(5000, 'm');
        destroyed++;
    }
};
thread_local Local local;

/* Sets the key again, so that libc calls it for all of its four rounds. */
static void at_thread_end(void *value) {
    free(value);
    CHECK(pthread_setspecific(key, malloc(100)) == 0);
}

int main() {
    CHECK(pthread_key_create(&key, at_thread_end) == 0);
    for (int round = 0; round < 100; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; i++)
            threads.emplace_back([] {
                local.texts.assign(20, std::string(200, 'l'));
                pthread_setspecific(key, malloc(64));
            });
        for (auto &thread : threads) thread.join();
    }
    CHECK(destroyed == 800);
}
