// A C++ library that throws and catches std::bad_alloc, for a C program that opens it.
#include <cstddef>
#include <new>

static volatile std::size_t impossible = std::size_t{1} << 62;

struct Count {
    int *n;
    ~Count() { ++*n; }
};

__attribute__((noinline)) static void inner(int *destroyed) {
    Count count{destroyed};
    delete[] new char[impossible];
}

/* Returns how many destructors ran before std::bad_alloc arrived, or -1 if it did not. */
extern "C" int throw_and_catch() {
    int destroyed = 0;
    try {
        Count count{&destroyed};
        inner(&destroyed);
    } catch (const std::bad_alloc &) {
        return destroyed;
    }
    return -1;
}

/* Two objects through the operators. */
extern "C" int use_operators() {
    int *p = new int(5), *q = new int[100]{};
    int sum = *p + q[99];
    delete p;
    delete[] q;
    return sum;
}
