// Loops over many threads. Descriptions: larson (Larson & Krishnan 1998), xmalloc (Boreham 2000), mstress and
// rptest (Leijen's bench collection; Jansson), cache-thrash and cache-scratch (Berger's Hoard papers). The code is
// written from those descriptions.
//
//   threads larson THREADS SLOTS OPS        replace objects that other threads may have made; threads renew themselves
//   threads handoff THREADS OPS             pairs: one allocates batches, the other frees them
//   threads bursts THREADS ROUNDS           bursts of objects; some stay in a shared table and are freed by anyone
//   threads migrate THREADS OPS             loops of mixed sizes, every few objects go to the next thread
//   threads private THREADS OPS             the same churn in every thread, nothing shared: pure scaling
//   threads thrash THREADS OPS WRITES       small objects written often: does malloc hand neighbours one cache line?
//   threads scratch THREADS OPS WRITES      the same, beginning with objects that one thread made
//   threads short COUNT AT_ONCE             COUNT threads, AT_ONCE of them at a time, each allocates and exits
//   threads crowd COUNT                     COUNT threads alive together, each with a few objects
//   threads crowd-bare COUNT                the same with objects in mapped memory: what the threads alone hold
#include "common.h"

enum { MAX_THREADS = 1024 };

typedef struct {
    pthread_barrier_t *start;
    size_t index, threads, ops, extra;
    rng r;
    uint64_t began;
} worker;

// Waits for the others; each thread notes when it went on, since the main thread may be the last to get a CPU.
static void begin(worker *w) {
    pthread_barrier_wait(w->start);
    w->began = now_ns();
}

// Starts `threads` workers together and gives the time from the first one's start to the last one's end.
static uint64_t run_workers(size_t threads, size_t ops, size_t extra, void *(*body)(void *)) {
    if (threads > MAX_THREADS) die("too many threads");
    static worker workers[MAX_THREADS];
    static pthread_t ids[MAX_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (size_t i = 0; i < threads; i++) {
        workers[i] = (worker){&start, i, threads, ops, extra, rng_new(i + 1), 0};
        if (pthread_create(&ids[i], NULL, body, &workers[i])) die("pthread_create");
    }
    for (size_t i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    uint64_t ended = now_ns(), began = ended;
    for (size_t i = 0; i < threads; i++) began = workers[i].began < began ? workers[i].began : began;
    return ended - began;
}

// ---- larson: a server whose threads hand their table of objects to a successor when they end ----

static char **larson_slots;

typedef struct {
    size_t first, slots, ops;
    rng r;
} shift;

static void *larson_shift(void *argument) {
    shift *s = argument;
    for (size_t i = 0; i < s->ops; i++) {
        char **slot = &larson_slots[s->first + rng_below(&s->r, s->slots)];
        free(*slot);
        *(*slot = must(malloc(rng_size(&s->r, 1024)))) = 1;
    }
    return NULL;
}

// Ten successors one after the other work on the same slots: each frees what its predecessors made.
static void *larson_chain(void *argument) {
    worker *w = argument;
    shift s = {w->index * w->extra, w->extra, w->ops / 10, w->r};
    begin(w);
    for (size_t turn = 0; turn < 10; turn++) {
        pthread_t id;
        if (pthread_create(&id, NULL, larson_shift, &s)) die("pthread_create");
        pthread_join(id, NULL);
    }
    return NULL;
}

static void larson(int argc, char **argv) {
    size_t threads = arg_number(argc, argv, 2, 2), slots = arg_number(argc, argv, 3, 1000);
    size_t ops = arg_number(argc, argv, 4, 1000000) / threads;
    larson_slots = table(threads * slots * sizeof *larson_slots);
    // One thread makes everything, as a server's accepting thread does.
    rng r = rng_new(3);
    for (size_t i = 0; i < threads * slots; i++) *(larson_slots[i] = must(malloc(rng_size(&r, 1024)))) = 1;
    // Slots of all threads lie interleaved, so that the first frees are remote ones.
    for (size_t i = threads * slots; i-- > 1;) {
        size_t k = rng_below(&r, i + 1);
        char *other = larson_slots[k];
        larson_slots[k] = larson_slots[i], larson_slots[i] = other;
    }
    result(run_workers(threads, ops, slots, larson_chain), threads * ops);
}

// ---- handoff: producer and consumer ----

enum { BATCH = 128, QUEUE = 16 };

// A bounded queue for one producer and one consumer; each index on a line of its own.
typedef struct {
    _Alignas(128) _Atomic size_t head;
    _Alignas(128) _Atomic size_t tail;
    _Alignas(128) char *objects[QUEUE][BATCH];
} queue;

static queue *queues;

static void *produce(queue *q, size_t batches, rng *r) {
    for (size_t b = 0; b < batches; b++) {
        while (b - atomic_load_explicit(&q->tail, memory_order_acquire) >= QUEUE) sched_yield();
        for (size_t i = 0; i < BATCH; i++) *(q->objects[b % QUEUE][i] = must(malloc(rng_size(r, 256)))) = 1;
        atomic_store_explicit(&q->head, b + 1, memory_order_release);
    }
    return NULL;
}

static void *consume(queue *q, size_t batches) {
    for (size_t b = 0; b < batches; b++) {
        while (atomic_load_explicit(&q->head, memory_order_acquire) <= b) sched_yield();
        for (size_t i = 0; i < BATCH; i++) free(q->objects[b % QUEUE][i]);
        atomic_store_explicit(&q->tail, b + 1, memory_order_release);
    }
    return NULL;
}

static void *handoff_worker(void *argument) {
    worker *w = argument;
    queue *q = &queues[w->index / 2];
    begin(w);
    return w->index % 2 ? consume(q, w->ops / BATCH) : produce(q, w->ops / BATCH, &w->r);
}

static void handoff(int argc, char **argv) {
    size_t pairs = (arg_number(argc, argv, 2, 2) + 1) / 2, ops = arg_number(argc, argv, 3, 1000000) / pairs;
    queues = table(pairs * sizeof *queues);
    result(run_workers(2 * pairs, ops, 0, handoff_worker), pairs * (ops / BATCH) * BATCH);
}

// ---- bursts: objects that stay behind and are freed by whoever comes next ----

enum { SHARED = 4096 };

static _Atomic(char *) shared[SHARED];

static void *bursts_worker(void *argument) {
    worker *w = argument;
    rng r = w->r;
    enum { BURST = 2000 };
    char **mine = table(BURST * sizeof *mine);
    begin(w);
    for (size_t round = 0; round < w->ops; round++) {
        for (size_t i = 0; i < BURST; i++) *(mine[i] = must(malloc(rng_size(&r, i % 64 ? 512 : 16 * KIB)))) = 1;
        for (size_t i = 0; i < BURST; i++) {
            // A quarter changes places with what another thread left in the table.
            if (rng_next(&r) >> 62 == 0) mine[i] = atomic_exchange(&shared[rng_below(&r, SHARED)], mine[i]);
            free(mine[i]);
        }
    }
    munmap(mine, BURST * sizeof *mine);
    return NULL;
}

static void bursts(int argc, char **argv) {
    size_t threads = arg_number(argc, argv, 2, 2), rounds = arg_number(argc, argv, 3, 500) / threads + 1;
    uint64_t ns = 0;
    // Four generations of threads: what a dead thread left is freed by the living.
    for (int generation = 0; generation < 4; generation++) ns += run_workers(threads, rounds / 4 + 1, 0, bursts_worker);
    result(ns, threads * 4 * (rounds / 4 + 1) * 2000);
}

// ---- migrate: every thread frees its neighbour's objects now and then ----

typedef struct {
    _Alignas(128) _Atomic(char **) parcel;
} mailbox;

static mailbox mailboxes[MAX_THREADS];

enum { PARCEL = 64 };

// Puts a parcel of objects into the next thread's mailbox, or frees it here if that one is full.
static void send(worker *w, char **parcel) {
    char **full = NULL;
    mailbox *next = &mailboxes[(w->index + 1) % w->threads];
    if (atomic_compare_exchange_strong(&next->parcel, &full, parcel)) return;
    for (size_t i = 0; i < PARCEL; i++) free(parcel[i]);
    free(parcel);
}

static void receive(worker *w) {
    char **parcel = atomic_exchange(&mailboxes[w->index].parcel, NULL);
    if (!parcel) return;
    for (size_t i = 0; i < PARCEL; i++) free(parcel[i]);
    free(parcel);
}

static void *migrate_worker(void *argument) {
    worker *w = argument;
    rng r = w->r;
    enum { MINE = 1000 };
    char **mine = table(MINE * sizeof *mine);
    begin(w);
    for (size_t done = 0; done < w->ops; done += MINE / 4 + PARCEL) {
        for (size_t i = 0; i < MINE / 4; i++) {
            size_t k = rng_below(&r, MINE);
            free(mine[k]);
            *(mine[k] = must(malloc(rng_size(&r, 4 * KIB)))) = 1;
        }
        char **parcel = must(malloc(PARCEL * sizeof *parcel));
        for (size_t i = 0; i < PARCEL; i++) *(parcel[i] = must(malloc(rng_size(&r, 4 * KIB)))) = 1;
        send(w, parcel);
        receive(w);
    }
    for (size_t i = 0; i < MINE; i++) free(mine[i]);
    return NULL;
}

static void migrate(int argc, char **argv) {
    size_t threads = arg_number(argc, argv, 2, 2), ops = arg_number(argc, argv, 3, 1000000) / threads;
    result(run_workers(threads, ops, 0, migrate_worker), threads * ops);
}

// ---- private: no sharing at all ----

static void *private_worker(void *argument) {
    worker *w = argument;
    rng r = w->r;
    enum { MINE = 1000 };
    char **mine = table(MINE * sizeof *mine);
    begin(w);
    for (size_t i = 0; i < w->ops; i++) {
        size_t k = rng_below(&r, MINE);
        free(mine[k]);
        *(mine[k] = must(malloc(rng_size(&r, 512)))) = 1;
    }
    return NULL;
}

static void private(int argc, char **argv) {
    size_t threads = arg_number(argc, argv, 2, 2), ops = arg_number(argc, argv, 3, 1000000) / threads;
    result(run_workers(threads, ops, 0, private_worker), threads * ops);
}

// ---- false sharing ----

static char *given[MAX_THREADS];

// Passive when the thread begins with an object that the main thread allocated beside the others': an allocator
// that keeps the freed object for this thread makes the sharing last.
static void *share_worker(void *argument) {
    worker *w = argument;
    begin(w);
    free(given[w->index]);
    for (size_t i = 0; i < w->ops; i++) {
        volatile char *p = must(malloc(8));
        for (size_t k = 0; k < w->extra; k++) p[k % 8] = (char)(p[k % 8] + 1);
        free((void *)p);
    }
    return NULL;
}

static void share(int argc, char **argv, int passive) {
    size_t threads = arg_number(argc, argv, 2, 2), ops = arg_number(argc, argv, 3, 100000) / threads;
    size_t writes = arg_number(argc, argv, 4, 100);
    for (size_t i = 0; passive && i < threads; i++) *(given[i] = must(malloc(8))) = 1;
    result(run_workers(threads, ops, writes, share_worker), threads * ops);
}

static void thrash(int argc, char **argv) { share(argc, argv, 0); }
static void scratch(int argc, char **argv) { share(argc, argv, 1); }

// ---- thread life ----

// What a short task does: some objects of several sizes, all freed.
static void *short_task(void *argument) {
    rng r = rng_new((uint64_t)(uintptr_t)argument + 1);
    char *objects[100];
    for (size_t i = 0; i < 100; i++) *(objects[i] = must(malloc(rng_size(&r, 1024)))) = 1;
    for (size_t i = 0; i < 100; i++) free(objects[i]);
    return NULL;
}

static pthread_t create_small(void *(*body)(void *), void *argument) {
    static pthread_attr_t attributes;
    static int ready = 0;
    if (!ready) {
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 * KIB);
        ready = 1;
    }
    pthread_t id;
    if (pthread_create(&id, &attributes, body, argument)) die("pthread_create");
    return id;
}

static void short_lived(int argc, char **argv) {
    size_t count = arg_number(argc, argv, 2, 10000), at_once = arg_number(argc, argv, 3, 100);
    pthread_t *ids = table(at_once * sizeof *ids);
    uint64_t start = now_ns();
    for (size_t i = 0; i < count; i++) {
        if (i >= at_once) pthread_join(ids[i % at_once], NULL);
        ids[i % at_once] = create_small(short_task, (void *)i);
    }
    for (size_t i = 0; i < at_once && i < count; i++) pthread_join(ids[i], NULL);
    uint64_t ns = now_ns() - start;
    printf("sample %.3f 0 %zu\n", (double)ns / 1e9, resident());
    result(ns, count);
}

static pthread_barrier_t crowd_full, crowd_leave;

enum { CROWD_OBJECTS = 20, CROWD_BYTES = 256 };

// Where the control's threads have their objects: as many bytes as the others ask for, without gaps.
static char *crowd_memory;
static _Atomic size_t crowd_used;
// What the threads ask for, in bytes.
static _Atomic size_t crowd_live;

static void *crowd_member(void *argument) {
    rng r = rng_new((uint64_t)(uintptr_t)argument + 1);
    char *objects[CROWD_OBJECTS];
    size_t bytes = 0;
    for (size_t i = 0; i < CROWD_OBJECTS; i++) {
        size_t size = rng_size(&r, CROWD_BYTES);
        bytes += size;
        *(objects[i] = crowd_memory ? crowd_memory + atomic_fetch_add(&crowd_used, size) : must(malloc(size))) = 1;
    }
    atomic_fetch_add(&crowd_live, bytes);
    pthread_barrier_wait(&crowd_full);
    pthread_barrier_wait(&crowd_leave);
    for (size_t i = 0; !crowd_memory && i < CROWD_OBJECTS; i++) free(objects[i]);
    return NULL;
}

static void crowd(int argc, char **argv) {
    size_t count = arg_number(argc, argv, 2, 10000);
    pthread_t *ids = table(count * sizeof *ids);
    pthread_barrier_init(&crowd_full, NULL, (unsigned)count + 1);
    pthread_barrier_init(&crowd_leave, NULL, (unsigned)count + 1);
    uint64_t start = now_ns();
    for (size_t i = 0; i < count; i++) ids[i] = create_small(crowd_member, (void *)i);
    pthread_barrier_wait(&crowd_full);
    printf("sample %.3f %zu %zu\n", (double)(now_ns() - start) / 1e9, crowd_live, resident());
    pthread_barrier_wait(&crowd_leave);
    for (size_t i = 0; i < count; i++) pthread_join(ids[i], NULL);
    result(now_ns() - start, count);
}

static void crowd_bare(int argc, char **argv) {
    crowd_memory = table(arg_number(argc, argv, 2, 10000) * CROWD_OBJECTS * CROWD_BYTES);
    crowd(argc, argv);
}

int main(int argc, char **argv) {
    static const loop_entry loops[] = {
        {"larson", larson},   {"handoff", handoff}, {"bursts", bursts},       {"migrate", migrate}, {"private", private},
        {"thrash", thrash},   {"scratch", scratch}, {"short", short_lived}, {"crowd", crowd},     {"crowd-bare", crowd_bare},
    };
    return run_named(loops, sizeof loops / sizeof *loops, argc, argv);
}
