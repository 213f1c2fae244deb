/* Wrong calls, chosen by name: the messages name the call, so each wrong pointer is tried with each. */
#ifndef BESOM_C_TESTS_MISUSE_H
#define BESOM_C_TESTS_MISUSE_H

#include "test.h"

void free_sized(void *, size_t);
void free_aligned_sized(void *, size_t, size_t);
#pragma weak free_sized
#pragma weak free_aligned_sized

/* Calls what argument `op` names with a pointer that is not right. Says {op} and {p} before. Returns only
   if the allocator let it pass. */
static inline void misuse(const char *op, void *p, size_t bytes) {
    SAY_POINTER("p", p);
    if (strcmp(op, "free") == 0) {
        SAY_TEXT("op", "free()");
        free(p);
    } else if (strcmp(op, "realloc") == 0) {
        SAY_TEXT("op", "realloc()");
        p = realloc(p, bytes * 2);
    } else if (strcmp(op, "usable") == 0) {
        SAY_TEXT("op", "malloc_usable_size()");
        SAY_NUMBER("usable", malloc_usable_size(p));
    } else if (strcmp(op, "free_sized") == 0) {
        SAY_TEXT("op", "free_sized()");
        free_sized(p, bytes);
    } else if (strcmp(op, "free_aligned_sized") == 0) {
        SAY_TEXT("op", "free_aligned_sized()");
        free_aligned_sized(p, 16, bytes);
    } else if (strcmp(op, "delete") == 0) {
        SAY_TEXT("op", "operator delete");
        void (*operator_delete)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "_ZdlPv");
        CHECK(operator_delete != NULL);
        operator_delete(p);
    } else {
        dprintf(2, "no such operation: %s\n", op);
        _exit(2);
    }
    dprintf(2, "the misuse went unnoticed\n");
    _exit(3);
}

#endif
