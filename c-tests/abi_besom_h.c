// Proves that what include/besom.h declares works as it says: version, statistics, release, noscan objects.
// flags: {so}
#include "test.h"
#include "besom.h"

static struct besom_stats now(void) {
    struct besom_stats stats = {.size = sizeof stats};
    CHECK(besom_stats(&stats) == 0);
    CHECK(stats.size == sizeof stats && stats.version == BESOM_STATS_VERSION);
    return stats;
}

static void sums_agree(const struct besom_stats *stats) {
    size_t cached = 0, objects = 0;
    for (size_t i = 0; i < BESOM_CLASSES; i++) {
        cached += stats->classes[i].cached_objects * stats->classes[i].object_bytes;
        objects += stats->classes[i].objects;
    }
    CHECK_AT(cached == stats->cached_bytes, cached, stats->cached_bytes);
    CHECK_AT(objects == stats->objects, objects, stats->objects);
    for (size_t i = 1; i < BESOM_CLASSES; i++) CHECK_AT(stats->classes[i].object_bytes == class_bytes[i - 1], i, 0);
}

int main(void) {
    CHECK(besom_version() != NULL && strchr(besom_version(), '.') != NULL);
    struct besom_stats before = now();
    static void *objects[5000];
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        objects[i] = besom_malloc_noscan(1000);
        CHECK(objects[i] != NULL && malloc_usable_size(objects[i]) >= 1000);
        memset(objects[i], 0xee, 1000);
    }
    void *large = malloc(32 * MIB);
    memset(large, 1, 32 * MIB);
    struct besom_stats during = now();
    sums_agree(&during);
    CHECK(during.in_use_bytes >= before.in_use_bytes + 32 * MIB + 5000 * 1000);
    CHECK(during.classes[32].objects >= before.classes[32].objects + 5000);
    CHECK(during.objects >= before.objects + 5001);
    CHECK(during.mapped_bytes >= during.in_use_bytes + during.idle_bytes);
    CHECK(during.cache_mode <= BESOM_CACHE_LOCKED);
    free(large);
    for (size_t i = 0; i < COUNT_OF(objects); i++) free(objects[i]);
    besom_release_free_memory();
    struct besom_stats after = now();
    CHECK(after.released_bytes >= 32 * MIB);
    CHECK(after.in_use_bytes < before.in_use_bytes + 4 * MIB);
    errno = 0;
    CHECK(besom_stats(NULL) == -1 && errno == EINVAL);
    struct besom_stats wrong = {.size = 1};
    CHECK(besom_stats(&wrong) == -1 && errno == EINVAL);
    CHECK(besom_malloc_noscan(SIZE_MAX) == NULL && errno == ENOMEM);
}
