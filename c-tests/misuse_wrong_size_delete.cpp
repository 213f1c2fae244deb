// Proves that the sized forms of operator delete refuse a size of another class than the object's.
// build: -O0
// build: -O2
// run: one
// run: array
// run: aligned
// run: aligned_array
// expect-signal: ABRT
// expect-stderr: besom: wrong size in operator delete: 1000 bytes given for {p}, a {size}-byte object
#include "test.h"
#include <new>
#include <string>

int main(int, char **argv) {
    const std::string form = argv[1];
    const std::align_val_t alignment{32};
    void *p = form.find("aligned") == 0 ? operator new(64, alignment) : operator new(64);
    SAY_POINTER("p", p);
    SAY_NUMBER("size", malloc_usable_size(p));
    if (form == "one") operator delete(p, std::size_t{1000});
    if (form == "array") operator delete[](p, std::size_t{1000});
    if (form == "aligned") operator delete(p, std::size_t{1000}, alignment);
    if (form == "aligned_array") operator delete[](p, std::size_t{1000}, alignment);
    dprintf(2, "the misuse went unnoticed\n");
    _exit(3);
}
