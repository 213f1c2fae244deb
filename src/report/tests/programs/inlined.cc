#include "where.h"
#include <vector>

namespace shapes {

__attribute__((always_inline)) inline void inner(int n)
{
    here("inlined");
    printf("# %d\n", n);
}

template <typename T> __attribute__((always_inline)) inline void middle(T n)
{
    inner(n + 1);
}

__attribute__((noinline)) void outer(int n)
{
    middle<long>(n);
    puts("#");
}

template <typename T> struct List {
    T last;
    __attribute__((noinline)) void push(const T &value)
    {
        here("template");
        last = value;
    }
};

} // namespace shapes

int main()
{
    shapes::outer(1);
    shapes::List<std::vector<int>> list;
    list.push(std::vector<int>{1});
    auto lambda = [&](int n) __attribute__((noinline)) { here("lambda"); printf("# %d\n", n); };
    lambda(3);
    print_mappings();
}
