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

/* The library's version as "major.minor.patch"; the text is static. */
const char *besom_version(void);

#ifdef __cplusplus
}
#endif

#endif
