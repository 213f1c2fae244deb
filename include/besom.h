/*
 * besom.h - what besom offers a C or C++ program beyond malloc.
 *
 * Link with -lbesom, or look the functions up with dlsym in a program that may run with or without
 * LD_PRELOAD=libbesom.so. Every function may be called from any thread; none from a signal handler.
 */
#ifndef BESOM_H
#define BESOM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of `struct besom_stats`. Fields are only ever added at its end. */
#define BESOM_STATS_VERSION 1

/* How many size classes there are; class 0 is the large objects. */
#define BESOM_CLASSES 68

/* Values of `besom_stats.cache_mode`: how the caches in front of the heap work. */

/* One cache per concurrency id of the process, by restartable sequences. */
#define BESOM_CACHE_RSEQ_MM_CID 0
/* One cache per CPU, by restartable sequences; the kernel gives no concurrency ids. */
#define BESOM_CACHE_RSEQ_CPU_ID 1
/* Sharded caches, each under a lock; there are no restartable sequences, or an option forbids them. */
#define BESOM_CACHE_LOCKED 2

/* One size class. */
struct besom_class_stats {
    /* Size of an object in bytes; 0 for the class of large objects. */
    size_t object_bytes;
    /* Objects that the program holds. */
    size_t objects;
    /* Free objects that lie in caches, ready to be handed out. */
    size_t cached_objects;
    /* Spans that are cut into objects of this class; for class 0 the large objects. */
    size_t spans;
};

/* A snapshot of the heap. Counts of different fields may differ by what other threads do meanwhile. */
struct besom_stats {
    /* In: sizeof(struct besom_stats) as the caller knows it. Out: how many bytes were filled in. */
    size_t size;
    /* The version of this structure that the library was built with. */
    unsigned version;
    /* One of BESOM_CACHE_*. */
    unsigned cache_mode;
    /* Bytes of objects that the program holds, each with its class's size. */
    size_t in_use_bytes;
    /* Bytes of pages and objects that are free and not given back to the kernel, those in caches included. */
    size_t idle_bytes;
    /* Bytes of free pages that were given back to the kernel. */
    size_t released_bytes;
    /* Bytes of address space that the heap may use, the three above among them. */
    size_t mapped_bytes;
    /* Bytes of free objects that lie in caches. */
    size_t cached_bytes;
    /* Bytes of besom's own records. */
    size_t metadata_bytes;
    /* Objects that the program holds. */
    size_t objects;
    /* Every size class, by its number. */
    struct besom_class_stats classes[BESOM_CLASSES];
};

/* Fills in `stats`, whose `size` the caller has set. Returns 0; or -1 with errno EINVAL if `stats` is NULL
 * or its `size` is less than that of version 1. */
int besom_stats(struct besom_stats *stats);

/* Empties the caches and gives every free page back to the kernel. Takes time; malloc_trim(0) does the same. */
void besom_release_free_memory(void);

/* Allocates `size` bytes that never will hold a pointer: the leak checker does not read them. As malloc in all
 * else; free and realloc take the result. */
void *besom_malloc_noscan(size_t size);

/* Leak checks. They need leak mode, BESOM_OPTIONS=leak=1, which is decided when the program starts. Without it
 * the functions below that check fail, and the others have no effect. */

/* A number of blocks, and the bytes that the program asked for in them. */
struct besom_leak_amount {
    size_t bytes;
    size_t blocks;
};

/* What a check found. Fields are only ever added at the end. */
struct besom_leak_summary {
    /* In: sizeof(struct besom_leak_summary) as the caller knows it. Out: how many bytes were filled in. */
    size_t size;
    /* Nothing points to these blocks. */
    struct besom_leak_amount definitely_lost;
    /* Only lost blocks point to these. */
    struct besom_leak_amount indirectly_lost;
    /* Only pointers into their inside keep these. */
    struct besom_leak_amount possibly_lost;
    /* The program can still reach these. */
    struct besom_leak_amount still_reachable;
    /* Lost, but a suppression hides them. */
    struct besom_leak_amount suppressed;
};

/* Whether leak mode is on: 1 or 0. */
int besom_leak_is_on(void);

/* Checks now, and reports as at exit; the program goes on. Returns 1 if something is definitely or indirectly
 * lost and 0 if not; or -1 with errno ENOTSUP if leak mode is off, EAGAIN if the check could not be made. */
int besom_leak_check(void);

/* As besom_leak_check, and fills in `summary`, whose `size` the caller has set; -1 with errno EINVAL if
 * `summary` is NULL or its `size` is less than that of the first version. */
int besom_leak_check_summary(struct besom_leak_summary *summary);

/* Never reports the object that `object` points to or into, nor what only it holds, until it is freed.
 * Returns 0; or -1 with errno EINVAL if there is no object or leak mode is off. */
int besom_leak_ignore(const void *object);

/* Never reports what this thread allocates from here on, until as many calls of besom_leak_enable. */
void besom_leak_disable(void);
void besom_leak_enable(void);

/* Takes the `size` bytes from `start` on for a place where the program keeps pointers, such as memory of a
 * device or of another allocator. Regions may overlap and repeat; each registration is undone by one
 * besom_unregister_root_region with the same values. Return 0; or -1 with errno ENOMEM if there is no memory
 * to note it in, EINVAL if there is no such region. */
int besom_register_root_region(const void *start, size_t size);
int besom_unregister_root_region(const void *start, size_t size);

/* The library's version as "major.minor.patch"; the text is static. */
const char *besom_version(void);

#ifdef __cplusplus
}
#endif

#endif
