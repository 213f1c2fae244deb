// Proves that the standard containers, strings and smart pointers work through long random use, on several threads.
// build: -O2
// flags: -pthread
#include "test.h"
#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

static void churn(uint64_t state) {
    std::map<uint64_t, std::string> ordered;
    std::unordered_map<uint64_t, std::shared_ptr<std::vector<uint64_t>>> hashed;
    std::deque<std::unique_ptr<uint64_t>> queue;
    std::list<std::string> list;
    for (int step = 0; step < 60000; step++) {
        const uint64_t random = next_random(&state), key = random % 3000;
        ordered[key] = std::string(random % 200, static_cast<char>('a' + key % 26));
        hashed[key] = std::make_shared<std::vector<uint64_t>>(random % 50, key);
        queue.push_back(std::make_unique<uint64_t>(random));
        list.push_front(ordered[key]);
        if (random % 4 == 0) ordered.erase(random % 2999);
        if (queue.size() > 500) queue.pop_front();
        if (list.size() > 500) list.pop_back();
    }
    for (const auto &[key, text] : ordered)
        CHECK(std::all_of(text.begin(), text.end(), [k = key](char c) { return c == static_cast<char>('a' + k % 26); }));
    for (const auto &[key, numbers] : hashed)
        CHECK(std::all_of(numbers->begin(), numbers->end(), [k = key](uint64_t n) { return n == k; }));
}

int main() {
    std::vector<std::thread> threads;
    for (uint64_t i = 1; i <= 4; i++) threads.emplace_back(churn, i * 0x9e3779b97f4a7c15UL);
    for (auto &thread : threads) thread.join();
}
