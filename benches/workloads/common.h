// What every workload shares: a clock, a random generator, the lines the runner reads.
//
// A workload prints to stdout, one fact a line:
//   result <ns per operation> <operations>
//   operations <number>                                       instead of it: the time is that of the whole run
//   sample <seconds> <live bytes> <resident bytes>            memory over time
//   base <bytes>                                              resident before the first allocation
//   phase <name> <live> <resident now> <after 1 s> <after 10 s>
// Workloads keep their own bookkeeping in mmap'ed memory, so that only what is
// measured goes through the allocator.
#ifndef BESOM_BENCH_COMMON_H
#define BESOM_BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static inline uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// The time that results are made of: the process's CPU time if the runner asks for it with BENCH_CLOCK=cpu.
static inline uint64_t now_ns(void) {
    static int chosen = 0;
    static clockid_t clock = CLOCK_MONOTONIC;
    if (!chosen) {
        const char *name = getenv("BENCH_CLOCK");
        if (name && strcmp(name, "cpu") == 0) clock = CLOCK_PROCESS_CPUTIME_ID;
        chosen = 1;
    }
    return clock_ns(clock);
}

// Hides a pointer's origin from the optimizer, so that no malloc/free pair is removed.
static inline void *opaque(void *p) {
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

// Ends the program with a message: a failed allocation must never look like a fast one.
static inline void die(const char *what) {
    fprintf(stderr, "workload: %s\n", what);
    exit(1);
}

static inline void *must(void *p) {
    if (!p) die("out of memory");
    return opaque(p);
}

// xorshift64* (Vigna): fast enough to vanish beside a malloc, seeded so that every allocator sees the same sequence.
typedef struct { uint64_t s; } rng;

static inline rng rng_new(uint64_t seed) { return (rng){seed * 0x9E3779B97F4A7C15u + 1}; }

static inline uint64_t rng_next(rng *r) {
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return r->s * 0x2545F4914F6CDD1Du;
}

// Uniform below n, by multiplication: no division in the measured loop.
static inline size_t rng_below(rng *r, size_t n) {
    return (size_t)(((rng_next(r) >> 32) * (uint64_t)n) >> 32);
}

// Sizes as programs ask for them: each doubling half as likely as the one below, from 8 up to `max`.
static inline size_t rng_size(rng *r, size_t max) {
    uint64_t x = rng_next(r);
    size_t top = (size_t)16 << __builtin_ctzll(x | ((uint64_t)1 << 40));
    if (top > max) top = max;
    return top / 2 + (size_t)((x >> 41) & (top / 2 - 1)) + 1;
}

// Memory for bookkeeping, outside the allocator under test.
static inline void *table(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) die("mmap");
    return p;
}

// Resident bytes now, read without allocating.
static inline size_t resident(void) {
    char text[128] = {0};
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) die("/proc/self/statm");
    char *field = strchr(text, ' ');
    return field ? strtoul(field, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static inline void result(uint64_t ns, uint64_t ops) {
    printf("result %.4f %llu\n", (double)ns / (double)(ops ? ops : 1), (unsigned long long)ops);
}

// Runs through the C library's code for numbers as result() will. Its pages, some 300 KiB, would otherwise appear at
// the very end, on top of what an allocator has kept, but not of what it has given back and takes again.
static inline void touch_output_code(void) {
    char text[64];
    snprintf(text, sizeof text, "result %.4f %llu\n", (double)now_ns() / 3, (unsigned long long)now_ns());
    opaque(text);
}

// The n-th argument as a number with an optional k, m or g (binary), or `fallback`.
static inline size_t arg_number(int argc, char **argv, int n, size_t fallback) {
    if (n >= argc) return fallback;
    char *end;
    double value = strtod(argv[n], &end);
    if (*end == 'k') value *= KIB;
    if (*end == 'm') value *= MIB;
    if (*end == 'g') value *= GIB;
    return (size_t)value;
}

// One entry of a program's table of loops.
typedef struct {
    const char *name;
    void (*run)(int argc, char **argv);
} loop_entry;

// Runs the loop named in argv[1]; the loop's own arguments start at argv[2].
static inline int run_named(const loop_entry *loops, size_t count, int argc, char **argv) {
    touch_output_code();
    for (size_t i = 0; argc > 1 && i < count; i++) {
        if (strcmp(loops[i].name, argv[1]) == 0) {
            loops[i].run(argc, argv);
            return 0;
        }
    }
    fprintf(stderr, "usage: %s LOOP [ARGUMENTS]; loops:", argv[0]);
    for (size_t i = 0; i < count; i++) fprintf(stderr, " %s", loops[i].name);
    fprintf(stderr, "\n");
    return 2;
}

#endif
