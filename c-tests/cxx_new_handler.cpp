// Proves that a failing new calls the new handler and tries again until it succeeds or the handler gives up.
// build: -O0
// build: -O2
// options: hard_limit=64MiB
#include "test.h"
#include <new>

static int calls;
static void *reserve;

static void give_up_at_third() {
    if (++calls == 3) std::set_new_handler(nullptr);
}

static void free_reserve() {
    calls++;
    free(reserve);
    reserve = nullptr;
}

struct Stop {};
static void throw_stop() { throw Stop{}; }
static void throw_bad_alloc() {
    calls++;
    throw std::bad_alloc{};
}

/* Runs `make` with a handler; returns whether it threw std::bad_alloc. */
template <class F> static bool fails(std::new_handler handler, F make) {
    calls = 0;
    std::set_new_handler(handler);
    try {
        void *p = make();
        OPAQUE(p);
        return false;
    } catch (const std::bad_alloc &) {
        return true;
    }
}

static const std::size_t impossible = std::size_t{1} << 62;

static void gives_up() {
    CHECK(fails(give_up_at_third, [] { return operator new(impossible); }) && calls == 3);
    CHECK(fails(give_up_at_third, [] { return operator new[](impossible); }) && calls == 3);
    CHECK(fails(give_up_at_third, [] { return operator new(impossible, std::align_val_t{64}); }) && calls == 3);
    CHECK(fails(give_up_at_third, [] { return operator new[](impossible, std::align_val_t{64}); }) && calls == 3);
    CHECK(!fails(give_up_at_third, [] {
        CHECK(operator new(impossible, std::nothrow) == nullptr);
        return nullptr;
    }) && calls == 3);
}

int main() {
    gives_up();
    reserve = malloc(40 << 20);
    CHECK(reserve != nullptr);
    CHECK(!fails(free_reserve, [] { return operator new(40 << 20); }) && calls == 1 && reserve == nullptr);
    std::set_new_handler(throw_stop);
    try {
        operator new(impossible);
        CHECK(!"the handler's own exception comes through");
    } catch (const Stop &) {
    }
    /* nothrow turns the handler's bad_alloc into a null pointer. */
    CHECK(!fails(throw_bad_alloc, [] {
        CHECK(operator new(impossible, std::nothrow) == nullptr);
        CHECK(operator new[](impossible, std::nothrow) == nullptr);
        CHECK(operator new(impossible, std::align_val_t{64}, std::nothrow) == nullptr);
        CHECK(operator new[](impossible, std::align_val_t{64}, std::nothrow) == nullptr);
        return nullptr;
    }) && calls == 4);
    std::set_new_handler(nullptr);
    delete new int;
}
