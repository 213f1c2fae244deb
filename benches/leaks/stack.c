/* stack FRAMES PATHS ROUNDS: nanoseconds of CPU for a malloc and its free at the bottom of a stack so many
 * frames deep, reached by so many different ways; four pairs at a time. Built with frame pointers, which
 * LeakSanitizer's unwinder needs. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void *volatile sink;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

__attribute__((noinline)) static int leaf(unsigned path)
{
    for (int i = 0; i < 4; i++) {
        void *block = malloc(32 + (path & 1));
        sink = block;
        free(block);
    }
    return 1;
}

int left(int depth, unsigned path);
int right(int depth, unsigned path);

/* Two functions with frames of different sizes; a bit of the path chooses which is called. */
#define STEP(depth, path) \
    ((depth) == 0 ? leaf(path) : (path) >> (depth) & 1 ? left((depth) - 1, path) : right((depth) - 1, path))

__attribute__((noinline)) int left(int depth, unsigned path)
{
    int result = STEP(depth, path);
    __asm__ volatile("");
    return result + 1;
}

__attribute__((noinline)) int right(int depth, unsigned path)
{
    volatile int room[6];
    room[0] = 1;
    int result = STEP(depth, path);
    __asm__ volatile("");
    return result + room[0];
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int depth = atoi(argv[1]) - 3; /* main, the first function and leaf */
    unsigned paths = (unsigned)atoi(argv[2]);
    long rounds = atol(argv[3]);
    double best = 1e18;
    for (int turn = 0; turn < 10; turn++) {
        double start = now();
        for (long i = 0; i < rounds; i++)
            left(depth, (unsigned)(i % paths) * 2654435761u);
        double each = (now() - start) / (double)rounds / 4;
        best = each < best ? each : best;
    }
    printf("%.2f\n", best);
    return 0;
}
