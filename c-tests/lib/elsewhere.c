/* besom's functions about leaks for a program that runs under another tool, as far as that tool has the like;
   tests/cross-check.sh links it in. With WITH_LSAN for LeakSanitizer, else for valgrind. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "besom.h"

#ifdef WITH_LSAN
#include <sanitizer/lsan_interface.h>
static int check(void) { return __lsan_do_recoverable_leak_check(); }
static void ignore(const void *object) { __lsan_ignore_object(object); }
static void add_root(const void *start, size_t size) { __lsan_register_root_region(start, size); }
static void remove_root(const void *start, size_t size) { __lsan_unregister_root_region(start, size); }
static void disable(void) { __lsan_disable(); }
static void enable(void) { __lsan_enable(); }
#else
#include <valgrind/memcheck.h>
static int check(void) {
    unsigned long leaked, dubious, reachable, suppressed;
    VALGRIND_DO_LEAK_CHECK;
    VALGRIND_COUNT_LEAK_BLOCKS(leaked, dubious, reachable, suppressed);
    return leaked > 0;
}
/* valgrind has none of these. */
static void ignore(const void *object) {}
static void add_root(const void *start, size_t size) {}
static void remove_root(const void *start, size_t size) {}
static void disable(void) {}
static void enable(void) {}

void __lsan_disable(void) {}
void __lsan_enable(void) {}
void __lsan_ignore_object(const void *object) {}
void __lsan_register_root_region(const void *start, size_t size) {}
void __lsan_unregister_root_region(const void *start, size_t size) {}
int __lsan_do_recoverable_leak_check(void) { return check(); }
void __lsan_do_leak_check(void) {
    if (check()) _exit(23);
}
#endif

int besom_leak_is_on(void) { return 1; }
int besom_leak_check(void) { return check(); }
void besom_leak_disable(void) { disable(); }
void besom_leak_enable(void) { enable(); }
void *besom_malloc_noscan(size_t size) { return malloc(size); }

/* An address on the caller's stack is no object; the programs try no others. */
int besom_leak_ignore(const void *object) {
    size_t above = (size_t)object - (size_t)__builtin_frame_address(0);
    if (above < 65536) {
        errno = EINVAL;
        return -1;
    }
    ignore(object);
    return 0;
}

static struct { const void *start; size_t size; } regions[8];

int besom_register_root_region(const void *start, size_t size) {
    for (int i = 0; i < 8; i++)
        if (regions[i].size == 0) {
            regions[i].start = start;
            regions[i].size = size;
            add_root(start, size);
            return 0;
        }
    errno = ENOMEM;
    return -1;
}

int besom_unregister_root_region(const void *start, size_t size) {
    for (int i = 0; i < 8; i++)
        if (regions[i].size == size && regions[i].start == start) {
            regions[i].size = 0;
            remove_root(start, size);
            return 0;
        }
    errno = EINVAL;
    return -1;
}
