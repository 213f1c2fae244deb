// Proves that free_sized and free_aligned_sized take any size that was asked for, and NULL.
#include "misuse.h"

int main(void) {
    CHECK(free_sized != NULL && free_aligned_sized != NULL);
    free_sized(NULL, 0);
    free_sized(NULL, 1000);
    free_aligned_sized(NULL, 64, 1000);
    for (int round = 0; round < 3; round++)
        for (size_t bytes = 0; bytes < 70000; bytes += 1 + bytes / 64) {
            free_sized(malloc(bytes), bytes);
            free_sized(calloc(1, bytes), bytes);
            free_sized(realloc(malloc(16), bytes + 1), bytes + 1);
            for (size_t alignment = 8; alignment <= 64 * KIB; alignment *= 4)
                free_aligned_sized(aligned_alloc(alignment, bytes), alignment, bytes);
        }
    for (size_t bytes = 1 * MIB - 1; bytes <= 1 * MIB + 1; bytes++) free_sized(malloc(bytes), bytes);
}
