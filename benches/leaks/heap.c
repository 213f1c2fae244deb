/* heap SHAPE BYTES BLOCKS CHECKS: makes a heap of reachable blocks and has it checked, by besom or by
 * LeakSanitizer, whichever is there. Prints for each check the milliseconds of CPU that it took; at the end
 * the process's resident KiB, and, for `large`, the GB/s at which one thread reads the same blocks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

void **volatile root;
static uint64_t state = 88172645463325252ull;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double cpu_of(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return use.ru_utime.tv_sec * 1e3 + use.ru_utime.tv_usec / 1e3 + use.ru_stime.tv_sec * 1e3 +
           use.ru_stime.tv_usec / 1e3;
}

static void shuffle(void ***all, long blocks)
{
    for (long i = blocks - 1; i > 0; i--) {
        long other = (long)(next_random() % (uint64_t)(i + 1));
        void **swapped = all[i];
        all[i] = all[other];
        all[other] = swapped;
    }
}

static void make(const char *shape, size_t bytes, long blocks)
{
    /* Not from the allocator, and gone when the heap stands. */
    size_t list_bytes = (size_t)blocks * sizeof(void *);
    void ***all = mmap(NULL, list_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < blocks; i++)
        all[i] = calloc(1, bytes);
    if (!strcmp(shape, "tree")) {
        for (long i = 1; i < blocks; i++)
            all[(i - 1) / 2][i % 2] = all[i];
        root = all[0];
    } else if (!strcmp(shape, "list") || !strcmp(shape, "shuffled-list")) {
        if (!strcmp(shape, "shuffled-list"))
            shuffle(all, blocks);
        for (long i = 1; i < blocks; i++)
            all[i][0] = all[i - 1];
        root = all[blocks - 1];
    } else if (!strcmp(shape, "hash")) {
        void **table = calloc((size_t)blocks, sizeof *table);
        for (long i = 0; i < blocks; i++) {
            long bucket = (long)(next_random() % (uint64_t)blocks);
            all[i][0] = table[bucket];
            table[bucket] = all[i];
        }
        root = table;
    } else {
        if (!strcmp(shape, "random"))
            shuffle(all, blocks);
        if (!strcmp(shape, "large"))
            for (long i = 0; i < blocks; i++)
                memset(all[i], 1, bytes);
        void **table = malloc(list_bytes);
        memcpy(table, all, list_bytes);
        root = table;
    }
    munmap(all, list_bytes);
}

/* The best of several turns. */
static double read_speed(size_t bytes, long blocks)
{
    double best = 0;
    volatile uint64_t result;
    for (int turn = 0; turn < 5; turn++) {
        struct timespec start, end;
        uint64_t sums[4] = {0};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
        for (long i = 0; i < blocks; i++) {
            const uint64_t *words = root[i];
            for (size_t word = 0; word < bytes / 8; word += 4)
                for (int lane = 0; lane < 4; lane++)
                    sums[lane] += words[word + lane];
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        result = sums[0] + sums[1] + sums[2] + sums[3];
        double seconds = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
        double speed = (double)bytes * blocks / 1e9 / seconds;
        best = speed > best ? speed : best;
    }
    (void)result;
    return best;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    size_t bytes = strtoul(argv[2], NULL, 10);
    long blocks = atol(argv[3]);
    make(argv[1], bytes, blocks);
    int (*check)(void) = dlsym(RTLD_DEFAULT, "besom_leak_check");
    if (!check)
        check = dlsym(RTLD_DEFAULT, "__lsan_do_recoverable_leak_check");
    for (int i = 0; check && i < atoi(argv[4]); i++) {
        double before = cpu_of(RUSAGE_CHILDREN) + cpu_of(RUSAGE_SELF);
        check();
        printf("cpu %.3f\n", cpu_of(RUSAGE_CHILDREN) + cpu_of(RUSAGE_SELF) - before);
    }
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmRSS:", 6))
            printf("resident %ld\n", atol(line + 6));
    if (!strcmp(argv[1], "large"))
        printf("read %.3f\n", read_speed(bytes, blocks));
    return 0;
}
