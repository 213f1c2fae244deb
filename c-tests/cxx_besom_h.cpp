// Proves that include/besom.h can be used from C++, and that what it gives can be freed there.
// flags: {so}
#include "besom.h"
#include "test.h"

int main() {
    struct besom_stats stats = {};
    stats.size = sizeof stats;
    CHECK(besom_stats(&stats) == 0 && stats.version == BESOM_STATS_VERSION);
    void *p = besom_malloc_noscan(100);
    CHECK(p != nullptr && malloc_usable_size(p) >= 100);
    operator delete(p);
    besom_release_free_memory();
    CHECK(besom_version() != nullptr);
}
