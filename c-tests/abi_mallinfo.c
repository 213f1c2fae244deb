// Proves that mallinfo and mallinfo2 follow what the program holds: bytes in use, free, and got from the system.
#include "test.h"

int main(void) {
    struct mallinfo2 before = mallinfo2();
    void *large = malloc(64 * MIB);
    static void *small[10000];
    for (size_t i = 0; i < COUNT_OF(small); i++) small[i] = malloc(1000);
    struct mallinfo2 during = mallinfo2();
    size_t asked = 64 * MIB + COUNT_OF(small) * 1000;
    CHECK_AT(during.uordblks >= before.uordblks + asked, before.uordblks, during.uordblks);
    CHECK_AT(during.uordblks <= before.uordblks + asked + 4 * MIB, before.uordblks, during.uordblks);
    CHECK_AT(during.arena + during.hblkhd >= during.uordblks, during.arena, during.hblkhd);
    struct mallinfo old = mallinfo();
    CHECK_AT((size_t)old.uordblks >= asked && (size_t)old.uordblks <= during.uordblks + 1 * MIB, old.uordblks, asked);
    free(large);
    for (size_t i = 0; i < COUNT_OF(small); i++) free(small[i]);
    struct mallinfo2 after = mallinfo2();
    CHECK_AT(after.uordblks <= before.uordblks + 4 * MIB, before.uordblks, after.uordblks);
    CHECK_AT(after.fordblks >= before.fordblks, before.fordblks, after.fordblks);
}
