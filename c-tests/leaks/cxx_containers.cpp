// Proves that global containers of the standard library keep everything, and lost ones lose one object definitely.
// expect-leaks: definitely=24/1 indirectly=400/1
#include "leak.h"

#include <deque>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

std::map<int, std::string> *map;
std::unordered_map<std::string, int> *hash;
std::list<long> *list;
std::deque<long> *deque;
std::vector<std::vector<long>> *vectors;

static NOINLINE void fill_all() {
    map = new std::map<int, std::string>;
    hash = new std::unordered_map<std::string, int>;
    list = new std::list<long>;
    deque = new std::deque<long>;
    vectors = new std::vector<std::vector<long>>;
    for (int i = 0; i < 1000; i++) {
        (*map)[i] = std::string(static_cast<size_t>(i % 100), 'm');
        (*hash)[std::string(40, 'h') + std::to_string(i)] = i;
        list->push_back(i);
        deque->push_back(i);
        vectors->push_back(std::vector<long>(static_cast<size_t>(i % 10 + 1)));
    }
}

static NOINLINE void lose_vector() {
    auto *p = new std::vector<int>(100);
    OPAQUE(p);
}

int main() {
    fill_all();
    lose_vector();
}
