/* A library with a static object that has a list, made by its constructor, which others make longer. */
#include <cstring>

struct Entry {
    Entry *next;
    char payload[32];
};

struct Registry {
    Entry *first = make(nullptr);

    static Entry *make(Entry *next) {
        Entry *entry = new Entry;
        memset(entry->payload, 1, sizeof entry->payload);
        entry->next = next;
        return entry;
    }
};

static Registry registry;

extern "C" void registry_add(void) { registry.first->next = Registry::make(registry.first->next); }

extern "C" void registry_forget(void) { registry.first = nullptr; }
