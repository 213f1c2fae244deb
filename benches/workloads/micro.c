// Single-threaded loops over the C interface: each isolates one path of the allocator.
//
//   micro hot SIZE OPS            malloc and free of one object, over and over
//   micro limit SIZE OPS          the same loop over a bare stack per CPU: what a cache can cost at least
//   micro plain SIZE OPS          the same over one array stack, which is for one thread only
//   micro fifo|lifo SIZE BATCH OPS    allocate a batch, free it in the same or the reverse order
//   micro churn LIVE OPS          replace random objects among LIVE live ones, sizes as programs ask
//   micro array LIVE OPS          the same accesses with no allocator: the cache misses in `churn`
//   micro heap BYTES OPS          replace random objects of 256 to 2048 bytes in a heap of BYTES live
//   micro heap-array BYTES OPS    its control
//   micro calloc SIZE OPS         calloc, touch, free, eight alive
//   micro aligned ALIGN SIZE OPS  posix_memalign in batches of 100
//   micro grow VECTORS BYTES STEP realloc VECTORS vectors in turn by STEP percent until each has BYTES
//   micro large SIZE OPS          large objects, one byte written per page, eight alive, replaced at random
//   micro mixed OPS               32 KiB to 4 MiB at random, 64 alive
#include "common.h"

// In libstacklimit.so, so that the call crosses a library as malloc's does.
void *stack_pop(size_t class_index);
void stack_push(size_t class_index, void *object);
int percpu_start(void);
void *percpu_pop(size_t class_index);
void percpu_push(size_t class_index, void *object);

static void hot(int argc, char **argv) {
    size_t size = arg_number(argc, argv, 2, 64), ops = arg_number(argc, argv, 3, 1000000), warm = ops / 10;
    uint64_t start = 0;
    for (size_t i = 0; i < ops + warm; i++) {
        if (i == warm) start = now_ns();
        char *p = must(malloc(size));
        *p = (char)i;
        free(opaque(p));
    }
    result(now_ns() - start, ops);
}

static const size_t limit_class = 5;

static void plain(int argc, char **argv) {
    size_t ops = arg_number(argc, argv, 3, 1000000), warm = ops / 10;
    static char objects[64][64];
    for (size_t i = 0; i < 64; i++) stack_push(limit_class, objects[i]);
    uint64_t start = 0;
    for (size_t i = 0; i < ops + warm; i++) {
        if (i == warm) start = now_ns();
        char *p = must(stack_pop(limit_class));
        *p = (char)i;
        stack_push(limit_class, opaque(p));
    }
    result(now_ns() - start, ops);
}

// Gives this CPU's stack an object; one that it has already may come twice, which nobody minds here.
static char *refill(void) {
    static char objects[64][64];
    for (size_t i = 0; i < 64; i++) percpu_push(limit_class, objects[i]);
    return must(objects[0]);
}

static void limit(int argc, char **argv) {
    size_t ops = arg_number(argc, argv, 3, 1000000), warm = ops / 10;
    if (!percpu_start()) die("no stack per CPU here: no restartable sequences, or another architecture than x86-64");
    uint64_t start = 0;
    for (size_t i = 0; i < ops + warm; i++) {
        if (i == warm) start = now_ns();
        char *p = percpu_pop(limit_class);
        if (!p) p = refill();
        *p = (char)i;
        percpu_push(limit_class, opaque(p));
    }
    result(now_ns() - start, ops);
}

static void batch(int argc, char **argv, int reverse) {
    size_t size = arg_number(argc, argv, 2, 64), length = arg_number(argc, argv, 3, 1000);
    size_t batches = arg_number(argc, argv, 4, 1000000) / length + 1;
    char **objects = table(length * sizeof *objects);
    uint64_t start = 0;
    for (size_t b = 0; b < batches + 1; b++) {
        if (b == 1) start = now_ns();  // the first batch warms the caches and faults the pages in
        for (size_t i = 0; i < length; i++) *(objects[i] = must(malloc(size))) = 1;
        if (reverse) {
            for (size_t i = length; i-- > 0;) free(objects[i]);
        } else {
            for (size_t i = 0; i < length; i++) free(objects[i]);
        }
    }
    result(now_ns() - start, batches * length);
}

static void fifo(int argc, char **argv) { batch(argc, argv, 0); }
static void lifo(int argc, char **argv) { batch(argc, argv, 1); }

// Replaces random objects among `live`; sizes from `low` up, or as programs ask if `low` is 0.
static void replace_small(size_t live, size_t ops, size_t low, size_t high) {
    char **objects = table(live * sizeof *objects);
    rng r = rng_new(7);
    uint64_t start = now_ns();
    for (size_t i = 0; i < live + ops; i++) {
        if (i == live) start = now_ns();
        size_t k = i < live ? i : rng_below(&r, live);
        free(objects[k]);
        *(objects[k] = must(malloc(low ? low + rng_below(&r, high - low) : rng_size(&r, high)))) = (char)i;
    }
    result(now_ns() - start, ops);
}

// The same with no allocator but a cache of one object: what was freed last is given out next, still warm.
static void replace_bare(size_t live, size_t ops, size_t stride) {
    char **objects = table(live * sizeof *objects), *memory = table((live + 1) * stride);
    rng r = rng_new(7);
    for (size_t i = 0; i < live; i++) *(objects[i] = memory + stride * i) = 1;
    for (size_t i = live; i-- > 1;) {
        size_t k = rng_below(&r, i + 1);
        char *other = objects[k];
        objects[k] = objects[i], objects[i] = other;
    }
    char *spare = memory + stride * live;
    uint64_t start = now_ns();
    for (size_t i = 0; i < ops; i++) {
        size_t k = rng_below(&r, live), size = rng_size(&r, 512);
        char *old = opaque(objects[k]);
        *old = (char)size;
        *(objects[k] = opaque(spare)) = (char)i;
        spare = old;
    }
    result(now_ns() - start, ops);
}

static void churn(int argc, char **argv) {
    replace_small(arg_number(argc, argv, 2, 1000), arg_number(argc, argv, 3, 1000000), 0, 512);
}

static void array(int argc, char **argv) {
    replace_bare(arg_number(argc, argv, 2, 1000), arg_number(argc, argv, 3, 1000000), 48);
}

enum { HEAP_MEAN = (256 + 2048) / 2 };

static void heap(int argc, char **argv) {
    size_t live = arg_number(argc, argv, 2, MIB) / HEAP_MEAN + 1;
    replace_small(live, arg_number(argc, argv, 3, 1000000), 256, 2048);
}

static void heap_array(int argc, char **argv) {
    replace_bare(arg_number(argc, argv, 2, MIB) / HEAP_MEAN + 1, arg_number(argc, argv, 3, 1000000), HEAP_MEAN);
}

// Writes a byte in each page, as a program that uses its memory does.
static void touch(char *p, size_t size) {
    for (size_t at = 0; at < size; at += 4096) p[at] = 1;
}

static void zeroed(int argc, char **argv) {
    size_t size = arg_number(argc, argv, 2, 64), ops = arg_number(argc, argv, 3, 1000000);
    char *ring[8] = {0};
    uint64_t start = now_ns();
    for (size_t i = 0; i < ops; i++) {
        free(ring[i % 8]);
        char *p = must(calloc(1, size));
        if (p[0] | p[size / 2] | p[size - 1]) die("calloc gave memory that is not zero");
        memset(p, 1, size < 64 ? size : 64);
        touch(p, size);
        p[size / 2] = p[size - 1] = 1;
        ring[i % 8] = p;
    }
    result(now_ns() - start, ops);
}

static void aligned(int argc, char **argv) {
    size_t align = arg_number(argc, argv, 2, 64), size = arg_number(argc, argv, 3, 64);
    size_t batches = arg_number(argc, argv, 4, 1000000) / 100 + 1;
    void *objects[100];
    uint64_t start = now_ns();
    for (size_t b = 0; b < batches; b++) {
        for (size_t i = 0; i < 100; i++) {
            if (posix_memalign(&objects[i], align, size)) die("posix_memalign");
            if ((uintptr_t)objects[i] % align) die("posix_memalign gave a pointer that is not aligned");
            *(char *)opaque(objects[i]) = 1;
        }
        for (size_t i = 0; i < 100; i++) free(objects[i]);
    }
    result(now_ns() - start, batches * 100);
}

static void grow(int argc, char **argv) {
    size_t vectors = arg_number(argc, argv, 2, 1), target = arg_number(argc, argv, 3, MIB);
    size_t percent = arg_number(argc, argv, 4, 50), steps = 0;
    char **vector = table(vectors * sizeof *vector);
    uint64_t start = now_ns();
    for (size_t size = 16, old = 0; old < target; old = size, size += size * percent / 100) {
        if (size > target) size = target;
        for (size_t v = 0; v < vectors; v++) {
            vector[v] = must(realloc(vector[v], size));
            touch(vector[v] + old, size - old);
            if (old && vector[v][0] != 1) die("realloc lost the contents");
            steps++;
        }
    }
    for (size_t v = 0; v < vectors; v++) free(vector[v]);
    result(now_ns() - start, steps);
}

// `alive` objects of `low` to `high` bytes, a random one replaced in each step.
static void replace_large(size_t low, size_t high, size_t alive, size_t ops) {
    char **objects = table(alive * sizeof *objects);
    rng r = rng_new(11);
    uint64_t start = now_ns();
    for (size_t i = 0; i < ops; i++) {
        size_t k = rng_below(&r, alive), size = low + (high > low ? rng_below(&r, high - low) : 0);
        free(objects[k]);
        objects[k] = must(malloc(size));
        touch(objects[k], size);
    }
    result(now_ns() - start, ops);
}

static void large(int argc, char **argv) {
    size_t size = arg_number(argc, argv, 2, MIB);
    replace_large(size, size, 8, arg_number(argc, argv, 3, 1000));
}

static void mixed(int argc, char **argv) { replace_large(32 * KIB, 4 * MIB, 64, arg_number(argc, argv, 2, 1000)); }

int main(int argc, char **argv) {
    static const loop_entry loops[] = {
        {"hot", hot},       {"limit", limit},   {"plain", plain},   {"fifo", fifo}, {"lifo", lifo},   {"churn", churn}, {"array", array},
        {"heap", heap},     {"heap-array", heap_array},
        {"calloc", zeroed}, {"aligned", aligned}, {"grow", grow}, {"large", large}, {"mixed", mixed},
    };
    return run_named(loops, sizeof loops / sizeof *loops, argc, argv);
}
