// A C++ library with static objects and thread-local ones, to be opened and closed again and again.
#include <map>
#include <string>

static std::map<int, std::string> *table;
static std::string greeting(300, 'p');

__attribute__((constructor)) static void construct() {
    table = new std::map<int, std::string>;
    for (int i = 0; i < 50; i++) (*table)[i] = std::string(i * 10, 'q');
}

__attribute__((destructor)) static void destruct() { delete table; }

/* Returns an object that the caller frees, perhaps after the library is gone. */
extern "C" int *plugin_make(int value) {
    thread_local std::string seen;
    seen += static_cast<char>('a' + value % 26);
    return new int(value + static_cast<int>(table->size() + greeting.size() - 350));
}
