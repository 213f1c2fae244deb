/* Frames of every shape between a test and its callback. Built without frame pointers, and once with. */
#include <alloca.h>
#include <string.h>

typedef void (*callback)(void *);
#define NOINLINE __attribute__((noinline, noclone))

/* A frame without anything special; the addition after the call keeps it from being a tail call. */
NOINLINE int plain(int depth, callback call, void *argument)
{
    if (depth == 0) {
        call(argument);
        return 1;
    }
    return plain(depth - 1, call, argument) + depth;
}

/* All callee-saved registers hold values over the call, the frame pointer among them. */
NOINLINE int registers(int depth, callback call, void *argument)
{
    volatile int source = depth;
    int a = source, b = source + 1, c = source + 2, d = source + 3, e = source + 4, f = source + 5;
    if (depth == 0)
        call(argument);
    else
        a += registers(depth - 1, call, argument);
    return a + b * 3 + c * 5 + d * 7 + e * 11 + f * 13;
}

/* A frame of a size that is not known when it is compiled: the frame pointer is needed. */
NOINLINE int variable(int depth, callback call, void *argument)
{
    char *memory = alloca(16 * depth + 24);
    memset(memory, depth, 16 * depth + 24);
    if (depth == 0)
        call(argument);
    else
        memory[1] += variable(depth - 1, call, argument);
    return memory[1] + memory[16];
}

/* A stack aligned further than the ABI asks for: the CFA is read from memory. */
NOINLINE int realigned(int depth, callback call, void *argument)
{
    char memory[128 + 16 * depth] __attribute__((aligned(64)));
    char other[64] __attribute__((aligned(64)));
    memset(memory, depth, sizeof memory);
    memset(other, depth, sizeof other);
    __asm__ volatile("" : : "r"(memory), "r"(other) : "memory");
    if (depth == 0)
        call(argument);
    else
        memory[1] += realigned(depth - 1, call, argument);
    return memory[1] + other[3] + memory[16];
}

/* A frame larger than any rule in the table can say. */
NOINLINE int large(int depth, callback call, void *argument)
{
    volatile char memory[3 << 19];
    memory[depth] = 1;
    if (depth == 0)
        call(argument);
    else
        memory[1] += large(depth - 1, call, argument);
    return memory[1];
}

/* A call that never returns is the last instruction of its function. */
__attribute__((noreturn)) NOINLINE static void leave(callback call, void *argument, void **jump)
{
    call(argument);
    __builtin_longjmp(jump, 1);
}

__attribute__((noreturn)) NOINLINE static void ends_in_a_call(callback call, void *argument, void **jump)
{
    leave(call, argument, jump);
}

NOINLINE int without_return(int depth, callback call, void *argument)
{
    void *jump[5];
    if (__builtin_setjmp(jump))
        return depth;
    ends_in_a_call(call, argument, jump);
}

/* Work that a timer can interrupt anywhere, with calls into libc. */
NOINLINE long busy(int depth, callback call, void *argument)
{
    char a[300], b[300];
    long sum = 0;
    (void)call, (void)argument;
    for (int i = 0; i < 200; i++) {
        memset(a, i, sizeof a);
        memcpy(b, a, sizeof b);
        sum += memcmp(a, b, sizeof a) + (long)strlen(strncpy(b, "interrupt me", sizeof b));
    }
    return depth == 0 ? sum : sum + busy(depth - 1, call, argument);
}

/* Calls the function that is its argument with the processor's trap flag set: a SIGTRAP after each instruction. */
NOINLINE long stepped(int depth, callback call, void *argument)
{
    long (*function)(int, callback, void *) = (long (*)(int, callback, void *))argument;
    enum { TRAP = 0x100 };
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP);
    long result = function(depth, call, 0);
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TRAP);
    return result;
}
