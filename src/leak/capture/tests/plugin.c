/* Two libraries with their functions at equal addresses and frames of different sizes. */
typedef void (*callback)(void *);
#ifndef FRAME_BYTES
#define FRAME_BYTES 1000
#endif

__attribute__((noinline, noclone)) int plugin(int depth, callback call, void *argument)
{
    volatile char memory[FRAME_BYTES];
    memory[0] = (char)depth;
    if (depth == 0)
        call(argument);
    else
        memory[0] += plugin(depth - 1, call, argument);
    return memory[0];
}
