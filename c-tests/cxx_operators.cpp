// Proves that every form of new and delete that the language can write works: array, nothrow, sized, aligned, and mixed.
// build: -O0
// build: -O2
#include "test.h"
#include <new>

struct Small { char bytes[24]; ~Small() { bytes[0] = 1; } };
struct alignas(64) Wide { char bytes[192]; ~Wide() { bytes[0] = 1; } };
struct alignas(16384) Huge { char bytes[16384]; };

template <class T> static void use(T *p) {
    OPAQUE(p);
    CHECK_AT(p != nullptr && is_aligned(p, alignof(T)), p, sizeof(T));
    memset((void *)p, 0x77, sizeof(T));
    OPAQUE(p);
}

template <class T> static void every_form() {
    for (int i = 0; i < 100; i++) {
        T *one = new T, *many = new T[7], *quiet = new (std::nothrow) T, *quiet_many = new (std::nothrow) T[3];
        use(one);
        use(quiet);
        for (int k = 0; k < 7; k++) use(many + k);
        for (int k = 0; k < 3; k++) use(quiet_many + k);
        delete one;
        delete[] many;
        delete quiet;
        delete[] quiet_many;
    }
}

/* Objects of one byte: the language wants a new address for each, even for size 0. */
static void distinct() {
    void *a = operator new(0), *b = operator new(0), *c = operator new[](0);
    CHECK(a != nullptr && a != b && b != c && a != c);
    operator delete(a);
    operator delete(b);
    operator delete[](c);
    operator delete(nullptr);
    operator delete[](nullptr);
    operator delete(nullptr, std::size_t{5});
    operator delete(nullptr, std::align_val_t{64});
    operator delete(nullptr, std::size_t{5}, std::align_val_t{64});
    operator delete(nullptr, std::nothrow);
}

int main() {
    every_form<char>();
    every_form<double>();
    every_form<Small>();
    every_form<Wide>();
    every_form<Huge>();
    distinct();
}
