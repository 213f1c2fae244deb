// Proves that a program's own operator new and delete stay in force, and besom's other forms go through them where the standard says so.
// build: -O0
// build: -O2
#include "test.h"
#include <new>
#include <string>

static int made, destroyed;

void *operator new(std::size_t bytes) {
    made++;
    if (void *p = malloc(bytes)) return p;
    throw std::bad_alloc{};
}
void operator delete(void *p) noexcept {
    destroyed++;
    free(p);
}
void operator delete(void *p, std::size_t) noexcept {
    destroyed++;
    free(p);
}

int main() {
    int *p = new int(3);
    OPAQUE(p);
    delete p;
    CHECK(made == 1 && destroyed == 1);
    {
        std::string text(1000, 'x');
        CHECK(text[999] == 'x' && made == 2);
    }
    CHECK(destroyed == 2);
    int *many = new int[100];
    OPAQUE(many);
    many[99] = 1;
    delete[] many;
}
