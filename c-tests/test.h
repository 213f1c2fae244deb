/* What most of the programs share. Nothing here allocates. */
#ifndef BESOM_C_TESTS_TEST_H
#define BESOM_C_TESTS_TEST_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB 1024UL
#define MIB (1024UL * KIB)
#define GIB (1024UL * MIB)
#define PAGE_BYTES 8192UL /* besom's page */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Ends the program with status 1 and a line that says what did not hold. */
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            dprintf(2, "%s:%d: does not hold: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            _exit(1); \
        } \
    } while (0)

/* As CHECK, with the two numbers it is about. */
#define CHECK_AT(condition, a, b) \
    do { \
        if (!(condition)) { \
            dprintf(2, "%s:%d: does not hold: %s, at %#zx and %#zx\n", __FILE__, __LINE__, #condition, \
                    (size_t)(a), (size_t)(b)); \
            _exit(1); \
        } \
    } while (0)

/* The compiler knows nothing about the pointer afterwards. */
#define OPAQUE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

/* Gives a value to the expected messages: {name} there stands for it. Not dprintf: it allocates a buffer,
   which may come to lie at the very address that a program has freed and is about to misuse. */
#define SAY(format, name, value) \
    do { \
        char line_[256]; \
        int length_ = snprintf(line_, sizeof line_, "%s=" format "\n", name, value); \
        if (write(1, line_, (size_t)length_) != length_) _exit(2); \
    } while (0)
#define SAY_POINTER(name, pointer) SAY("%#zx", name, (size_t)(pointer))
#define SAY_NUMBER(name, number) SAY("%zu", name, (size_t)(number))
#define SAY_TEXT(name, text) SAY("%s", name, text)

/* Go's size classes. */
static const size_t class_bytes[] = {
    8,    16,   24,   32,   48,   64,    80,    96,    112,   128,   144,   160,   176,   192,   208,   224,   240,
    256,  288,  320,  352,  384,  416,   448,   480,   512,   576,   640,   704,   768,   896,   1024,  1152,  1280,
    1408, 1536, 1792, 2048, 2304, 2688,  3072,  3200,  3456,  4096,  4864,  5376,  6144,  6528,  6784,  6912,  8192,
    9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768};

/* A byte that depends on the seed and the place, so that shifted or foreign contents show. */
static inline unsigned char pattern_at(size_t seed, size_t i) {
    return (unsigned char)(seed * 131 + i * 7 + (i >> 8) * 13);
}

static inline void fill(void *p, size_t n, size_t seed) {
    for (size_t i = 0; i < n; i++) ((unsigned char *)p)[i] = pattern_at(seed, i);
}

/* Whether the first n bytes still are what fill wrote. */
static inline int is_filled(const void *p, size_t n, size_t seed) {
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)p)[i] != pattern_at(seed, i)) return 0;
    return 1;
}

static inline int is_zero(const void *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)p)[i] != 0) return 0;
    return 1;
}

static inline int is_aligned(const void *p, size_t alignment) { return ((uintptr_t)p & (alignment - 1)) == 0; }

/* The alignment that malloc owes a request: that of the largest fundamental type that fits in it. */
static inline size_t owed_alignment(size_t bytes) { return bytes <= 8 ? 8 : 16; }

/* xorshift64: the same numbers on every run. */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* A value of /proc/self/FILE in bytes, of a line "Key:   123 kB". */
static inline size_t proc_bytes(const char *file, const char *key) {
    static __thread char text[16384];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    size_t length = 0;
    ssize_t n;
    while (length < sizeof text - 1 && (n = read(fd, text + length, sizeof text - 1 - length)) > 0) length += (size_t)n;
    close(fd);
    text[length] = 0;
    const char *line = strstr(text, key);
    CHECK(line != NULL);
    return strtoul(line + strlen(key), NULL, 10) * KIB;
}

/* Resident memory of this process in bytes: /proc/self/status lags behind, smaps_rollup counts. */
static inline size_t resident_bytes(void) { return proc_bytes("/proc/self/smaps_rollup", "\nRss:"); }

#endif
