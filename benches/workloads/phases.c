// Fragmentation and return: heaps that grow, shrink and change what they hold. After each phase the memory held is
// set against the bytes alive, at once, then one and ten seconds later.
//
//   phases giveback BYTES WAIT MODE  ten tables filled one after the other, nine dropped, in a random order
//   phases random BYTES WAIT MODE   one large heap, 90 % of its objects freed at random
//   phases mixed  BYTES WAIT MODE   sizes as programs ask; 90 % freed at random, twice over
//   phases shift  BYTES WAIT MODE   each phase keeps a tenth of the old objects and fills up with larger ones
//   phases arrays BYTES WAIT MODE   large arrays come and go, small objects allocated between them stay
//   phases tides  BYTES WAIT MODE   a server: load rises and falls, most objects die young, few live long
//
// WAIT is how many seconds a phase that freed memory is watched for: 0, 1 or 10; `1,10` watches the last of them
// for ten. MODE says what the program does meanwhile: `work` a little of its own business (a hundredth of a CPU, as
// an idle server does), `sleep` nothing.
//
// With BENCH_TURNS in the environment others run while this one is watched: it prints `watching` when a watch
// begins, `ready` when it is over, and goes on when a byte has come on standard input.
#include "common.h"

// Every object begins with its own size: the table needs a pointer each and no more.
static char **slots;
static size_t capacity, count, live, base, ops, target, wait_seconds, last_wait_seconds;
static int works, in_turns;
static uint64_t began, started, paused, queued;
static rng r;

// Bytes held beyond what the program had before its first allocation.
static size_t held(void) {
    size_t now = resident();
    return now > base ? now - base : 0;
}

static void sample(void) {
    printf("sample %.3f %zu %zu\n", (double)(clock_ns(CLOCK_MONOTONIC) - started - queued) / 1e9, live, held());
}

// About thirty samples a phase, whatever its length.
static void sample_each(size_t step, size_t of) {
    if (step % (of / 30 + 1) == 0) sample();
}

static void make(size_t size) {
    if (count == capacity) die("more objects than slots");
    char *p = must(malloc(size));
    memset(p, 1, size);  // all of it is used: live bytes are resident bytes
    *(uint32_t *)p = (uint32_t)size;
    slots[count++] = p;
    live += size;
    ops++;
}

static size_t size_of(size_t k) { return *(uint32_t *)slots[k]; }

static void drop(size_t k) {
    live -= size_of(k);
    free(slots[k]);
    slots[k] = slots[--count];
}

static void settle(double seconds) {
    uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    void *objects[200];
    while (clock_ns(CLOCK_MONOTONIC) < until) {
        for (size_t i = 0; works && i < 200; i++) *(char *)(objects[i] = must(malloc(rng_size(&r, 2048)))) = 1;
        for (size_t i = 0; works && i < 200; i++) free(objects[i]);
        usleep(10000);
    }
    sample();
}

enum freed { NOTHING, MUCH, LAST };

// Ends a phase; one that freed memory is watched, and the time of watching is not counted as the workload's.
static void phase(const char *name, enum freed freed) {
    uint64_t start = now_ns();
    size_t now = held(), seconds = freed == NOTHING ? 0 : freed == LAST ? last_wait_seconds : wait_seconds;
    double after[2] = {-1, -1};
    if (in_turns && seconds) puts("watching"), fflush(stdout);
    if (seconds >= 1) settle(1), after[0] = (double)held();
    for (int i = 0; seconds >= 10 && i < 9; i++) settle(1), after[1] = (double)held();
    if (in_turns && seconds) {
        char go;
        uint64_t asked = clock_ns(CLOCK_MONOTONIC);
        puts("ready"), fflush(stdout);
        if (read(0, &go, 1) != 1) die("nobody says when to go on");
        queued += clock_ns(CLOCK_MONOTONIC) - asked;
    }
    printf("phase %s %zu %zu %.0f %.0f\n", name, live, now, after[0], after[1]);
    paused += now_ns() - start;
}

static void grow(size_t bytes, size_t largest) {
    for (size_t last = live; live < bytes;) {
        make(rng_size(&r, largest));
        if (live - last > bytes / 30) last = live, sample();
    }
}

static void shrink(size_t keep_percent) {
    size_t before = count, keep = count * keep_percent / 100;
    while (count > keep) {
        drop(rng_below(&r, count));
        sample_each(count, before);
    }
}

static void mixed(void) {
    for (int turn = 0; turn < 2; turn++) {
        grow(target, 1024), phase("grow", NOTHING);
        shrink(10), phase("free-90%", MUCH);
    }
    shrink(0), phase("free-all", LAST);
}

// What a table's owner drops it drops as a whole: its objects lie together, as far as the allocator lets them.
static void giveback(void) {
    enum { TABLES = 10 };
    size_t ends[TABLES + 1] = {0};
    for (size_t t = 0; t < TABLES; t++) grow(target / TABLES * (t + 1), 64 * KIB), ends[t + 1] = count;
    phase("grow", NOTHING);
    static const size_t order[TABLES - 1] = {7, 2, 9, 0, 4, 6, 1, 8, 3};  // 5 stays
    for (size_t t = 0; t < TABLES - 1; t++) {
        for (size_t k = ends[order[t]]; k < ends[order[t] + 1]; k++) {
            live -= size_of(k);
            free(slots[k]);
            sample_each(k, count);
        }
    }
    phase("free-90%", LAST);
}

static void at_random(void) {
    grow(target, 64 * KIB), phase("grow", NOTHING);
    shrink(10), phase("free-90%", LAST);
}

static void shift_sizes(void) {
    static const size_t sizes[] = {48, 80, 130, 240, 700, 3000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t last = live; live + sizes[s] < target;) {
            make(sizes[s]);
            if (live - last > target / 30) last = live, sample();
        }
        phase("fill", NOTHING);
        shrink(10), phase("keep-10%", s % 3 != 2 ? NOTHING : s == 5 ? LAST : MUCH);
    }
}

static void arrays(void) {
    for (int turn = 0; turn < 3; turn++) {
        size_t first = count;
        while (live < target) {
            make(64 * KIB + rng_below(&r, 4 * MIB));
            for (int i = 0; i < 20; i++) make(rng_size(&r, 512));
            sample_each(count, target / MIB);
        }
        phase("grow", NOTHING);
        for (size_t k = count; k-- > first;) {
            if (size_of(k) >= 64 * KIB) drop(k);
        }
        phase("free-arrays", turn == 2 ? LAST : MUCH);
    }
}

static void tides(void) {
    for (int tide = 0; tide < 4; tide++) {
        size_t high = tide % 2 ? target / 2 : target;
        size_t top = 128u << tide;  // every tide brings larger requests
        for (size_t step = 0; live < high; step++) {
            for (int i = 0; i < 1000; i++) make(rng_size(&r, top));
            for (int i = 0; i < 700; i++) drop(count - 1 - rng_below(&r, count < 2000 ? count : 2000));
            sample_each(step, high / 15000);
        }
        phase("flood", NOTHING);
        for (size_t step = 0; live > high / 10; step++) {
            for (int i = 0; i < 300; i++) make(rng_size(&r, top));
            for (int i = 0; i < 1000 && count; i++) drop(rng_below(&r, count));
            sample_each(step, high / 15000);
        }
        phase("ebb", tide == 3 ? LAST : MUCH);
    }
}

int main(int argc, char **argv) {
    // With the least bytes per object that the loop's heap has on average: so many slots are needed.
    static const struct { const char *name; void (*run)(void); size_t mean; } loops[] = {
        {"giveback", giveback, 80}, {"random", at_random, 80}, {"mixed", mixed, 40},
        {"shift", shift_sizes, 40}, {"arrays", arrays, 4000},  {"tides", tides, 20},
    };
    target = arg_number(argc, argv, 2, 64 * MIB);
    const char *wait = argc > 3 ? argv[3] : "0", *comma = strchr(wait, ',');
    wait_seconds = strtoul(wait, NULL, 10);
    last_wait_seconds = comma ? strtoul(comma + 1, NULL, 10) : wait_seconds;
    in_turns = getenv("BENCH_TURNS") != NULL;
    works = argc < 5 || strcmp(argv[4], "sleep") != 0;
    for (size_t i = 0; argc > 1 && i < sizeof loops / sizeof *loops; i++) {
        if (strcmp(loops[i].name, argv[1]) != 0) continue;
        capacity = target / loops[i].mean + 20000;
        slots = table(capacity * sizeof *slots);
        memset(slots, 1, capacity * sizeof *slots);  // touched now: what comes on top is the heap
        r = rng_new(5);
        base = resident();
        printf("base %zu\n", base);
        started = clock_ns(CLOCK_MONOTONIC);
        began = now_ns();
        loops[i].run();
        return result(now_ns() - began - paused, ops), 0;
    }
    fprintf(stderr, "usage: phases giveback|random|mixed|shift|arrays|tides BYTES WAIT work|sleep\n");
    return 2;
}
