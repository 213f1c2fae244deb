// C++ operators: the same batches with the size told to delete and without.
//
//   sized sized|unsized SIZE OPS    new and delete in batches of 100, LIFO
//   sized mixed|mixed-unsized OPS   16 sizes, replaced at random among 1000 objects
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

namespace {

uint64_t now_ns() {
    static const char *name = getenv("BENCH_CLOCK");
    static const bool cpu = name && !strcmp(name, "cpu");
    timespec t;
    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

// Calls through the operators by name: unlike a new-expression these may not be elided.
template <bool Sized> void release(void *p, size_t size) {
    if (Sized) ::operator delete(p, size);
    else ::operator delete(p);
}

char *make(size_t size) {
    char *p = static_cast<char *>(::operator new(size));
    asm volatile("" : "+r"(p) : : "memory");
    *p = 1;
    return p;
}

template <bool Sized> uint64_t batches(size_t size, size_t ops) {
    char *objects[100];
    uint64_t start = now_ns();
    for (size_t b = 0; b < ops / 100; b++) {
        for (char *&p : objects) p = make(size);
        for (size_t i = 100; i-- > 0;) release<Sized>(objects[i], size);
    }
    return now_ns() - start;
}

template <bool Sized> uint64_t mixed(size_t ops) {
    static char *objects[1024];
    static const uint16_t sizes[16] = {8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024};
    // The size belongs to the slot, as it belongs to a type.
    for (size_t k = 0; k < 1024; k++) objects[k] = make(sizes[k % 16]);
    uint64_t random = 88172645463325252u, start = now_ns();
    for (size_t i = 0; i < ops; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        size_t k = (random >> 20) % 1024, size = sizes[k % 16];
        release<Sized>(objects[k], size);
        objects[k] = make(size);
    }
    return now_ns() - start;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: sized sized|unsized SIZE OPS | mixed|mixed-unsized OPS\n"), 2;
    const char *loop = argv[1];
    size_t ops = strtoul(argv[argc - 1], nullptr, 10), size = strtoul(argv[2], nullptr, 10);
    uint64_t ns = 0;
    if (!strcmp(loop, "sized")) ns = batches<true>(size, ops);
    else if (!strcmp(loop, "unsized")) ns = batches<false>(size, ops);
    else if (!strcmp(loop, "mixed")) ns = mixed<true>(ops);
    else if (!strcmp(loop, "mixed-unsized")) ns = mixed<false>(ops);
    else return fprintf(stderr, "sized: unknown loop %s\n", loop), 2;
    printf("result %.4f %zu\n", double(ns) / double(ops), ops);
}
