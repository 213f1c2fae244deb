#include "where.h"

int depth;

__attribute__((noinline)) void second(int n)
{
    depth += n;
    here("second");
    depth -= n;
}

__attribute__((noinline)) static void hidden(void)
{
    here("hidden");
    depth++;
}

int main(void)
{
    second(2);
    hidden();
    here("main");
    print_mappings();
    return 0;
}
