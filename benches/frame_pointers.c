/* A walk along frame pointers with the checks that a sanitizer's makes: inside of the stack, aligned,
 * upwards. The limits of the stack are taken from the thread once. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <time.h>

static __thread uintptr_t stack_end;

__attribute__((noinline)) static uintptr_t find_stack_end(void)
{
    pthread_attr_t attributes;
    void *start;
    size_t bytes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &start, &bytes);
    pthread_attr_destroy(&attributes);
    return (uintptr_t)start + bytes;
}

__attribute__((noinline)) int frame_pointer_walk(uintptr_t *frames, int limit)
{
    uintptr_t *frame = __builtin_frame_address(0), low = (uintptr_t)&frame;
    int count = 0;
    if (!stack_end)
        stack_end = find_stack_end();
    while (count < limit && (uintptr_t)frame > low && (uintptr_t)frame < stack_end - 16 &&
           (uintptr_t)frame % 8 == 0) {
        uintptr_t address = frame[1];
        if (address < 4096)
            break;
        frames[count++] = address;
        low = (uintptr_t)frame;
        frame = (uintptr_t *)frame[0];
    }
    return count;
}

/* What the Rust side passes; the loop stands here so that its own frame is part of the chain. */
struct measurement {
    void (*operation)(void);
    uint64_t iterations;
    uint64_t nanoseconds;
    uint64_t frames;
};

void measure_frame_pointers(void *argument)
{
    struct measurement *measurement = argument;
    uintptr_t frames[30];
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t i = 0; i < measurement->iterations; i++) {
        measurement->frames = frame_pointer_walk(frames, 20);
        __asm__ volatile("" : : "r"(frames) : "memory");
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    measurement->nanoseconds = (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec;
}
