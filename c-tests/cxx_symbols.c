// Proves that each mangled operator is besom's and does what its name says, also when called from C.
#include "test.h"

static const char nothrow;

/* Finds a symbol and makes sure that it is not libstdc++'s. */
static void *find(const char *name) {
    void *function = dlsym(RTLD_DEFAULT, name);
    Dl_info info;
    if (function == NULL || dladdr(function, &info) == 0 || strstr(info.dli_fname, "libbesom") == NULL) {
        dprintf(2, "%s is not besom's\n", name);
        _exit(1);
    }
    return function;
}

/* The forms of new take (size[, alignment][, nothrow]); those of delete (p[, size][, alignment][, nothrow]). */
typedef void *(*new_n)(size_t);
typedef void *(*new_na)(size_t, size_t);
typedef void *(*new_nt)(size_t, const void *);
typedef void *(*new_nat)(size_t, size_t, const void *);
typedef void (*del_p)(void *);
typedef void (*del_pn)(void *, size_t);
typedef void (*del_pa)(void *, size_t);
typedef void (*del_pna)(void *, size_t, size_t);
typedef void (*del_pt)(void *, const void *);
typedef void (*del_pat)(void *, size_t, const void *);

static void *checked(void *p, size_t bytes, size_t alignment) {
    CHECK_AT(p != NULL && is_aligned(p, alignment) && malloc_usable_size(p) >= bytes, bytes, alignment);
    memset(p, 0x3c, bytes);
    return p;
}

static void plain(const char *make, const char *make_nothrow, const char *const *destroy, size_t bytes) {
    new_n new_plain = (new_n)find(make);
    new_nt new_nothrow = (new_nt)find(make_nothrow);
    size_t owed = owed_alignment(bytes);
    ((del_p)find(destroy[0]))(checked(new_plain(bytes), bytes, owed));
    ((del_pn)find(destroy[1]))(checked(new_plain(bytes), bytes, owed), bytes);
    ((del_pt)find(destroy[2]))(checked(new_nothrow(bytes, &nothrow), bytes, owed), &nothrow);
    CHECK(new_nothrow(SIZE_MAX, &nothrow) == NULL);
}

static void aligned(const char *make, const char *make_nothrow, const char *const *destroy, size_t bytes, size_t alignment) {
    new_na new_plain = (new_na)find(make);
    new_nat new_nothrow = (new_nat)find(make_nothrow);
    ((del_pa)find(destroy[0]))(checked(new_plain(bytes, alignment), bytes, alignment), alignment);
    ((del_pna)find(destroy[1]))(checked(new_plain(bytes, alignment), bytes, alignment), bytes, alignment);
    ((del_pat)find(destroy[2]))(checked(new_nothrow(bytes, alignment, &nothrow), bytes, alignment), alignment, &nothrow);
    CHECK(new_nothrow(SIZE_MAX, alignment, &nothrow) == NULL);
}

int main(void) {
    static const char *const one[] = {"_ZdlPv", "_ZdlPvm", "_ZdlPvRKSt9nothrow_t"};
    static const char *const array[] = {"_ZdaPv", "_ZdaPvm", "_ZdaPvRKSt9nothrow_t"};
    static const char *const one_aligned[] = {"_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t"};
    static const char *const array_aligned[] = {"_ZdaPvSt11align_val_t", "_ZdaPvmSt11align_val_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t"};
    for (size_t bytes = 1; bytes < 200000; bytes = bytes * 3 / 2 + 1) {
        plain("_Znwm", "_ZnwmRKSt9nothrow_t", one, bytes);
        plain("_Znam", "_ZnamRKSt9nothrow_t", array, bytes);
        for (size_t alignment = 1; alignment <= 64 * KIB; alignment *= 2) {
            aligned("_ZnwmSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t", one_aligned, bytes, alignment);
            aligned("_ZnamSt11align_val_t", "_ZnamSt11align_val_tRKSt9nothrow_t", array_aligned, bytes, alignment);
        }
    }
}
