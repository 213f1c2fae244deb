// Proves that with use_unaligned=1 pointers across the edges of parts, pages and mappings count.
// expect-leaks: definitely=9/1
// options: use_unaligned=1
// run:
// run: in-place
// expect-stderr-has: {outcome}
#include "leak.h"
#include "forbid.h"

#define PART (128 * KIB)

char *block, *small, *mapped;

static NOINLINE void put(char *at) {
    void *p = make(40);
    memcpy(at, &p, sizeof p);
}

int main(int count, char **arguments) {
    /* Objects of this size are scanned in parts; parts begin at any eighth byte. */
    block = (char *)calloc(1, 16 * PART);
    for (size_t i = 1; i < 8; i++) put(block + i * PART - i), put(block + (7 + i) * PART + i - 7);
    /* Before, across and behind a page without access. */
    size_t page = KERNEL_PAGE;
    char *gone = (char *)(((uintptr_t)block + 15 * PART + page) & ~(page - 1));
    put(gone - 12), put(gone + page + 1), put(gone + page + 1001);
    for (size_t i = 0; i < 3; i++) put(gone + 2 * page - 3 - i * 1024);
    CHECK(mprotect(gone, page, PROT_NONE) == 0);
    /* Two mappings side by side, of unlike rights, so that the kernel does not join them. */
    mapped = (char *)mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapped != MAP_FAILED);
    put(mapped + 2 * page - 3);
    CHECK(mprotect(mapped + 2 * page, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    lose(9);
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) {
        SAY_TEXT("outcome", "besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile");
        forbid_children();
    } else {
        SAY_TEXT("outcome", "marked in a copy");
        dprintf(2, "marked in a copy\n");
    }
}
