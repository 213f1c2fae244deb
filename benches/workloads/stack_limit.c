// The least a cache of objects can cost: one load of a top, one of an object, one store back; for a cache per CPU
// also the restartable section around them. A library of its own, so that a call costs what a call of malloc under
// preload costs.
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

enum { CLASSES = 68, CAPACITY = 128, MAX_CPUS = 1024 };

typedef struct {
    uint32_t top[CLASSES];
    void *objects[CLASSES][CAPACITY];
} stacks;

static stacks plain;

void *stack_pop(size_t class_index) {
    uint32_t top = plain.top[class_index];
    if (__builtin_expect(top == 0, 0)) return NULL;
    plain.top[class_index] = top - 1;
    return plain.objects[class_index][top - 1];
}

void stack_push(size_t class_index, void *object) {
    uint32_t top = plain.top[class_index];
    if (__builtin_expect(top == CAPACITY, 0)) return;
    plain.objects[class_index][top] = object;
    plain.top[class_index] = top + 1;
}

#if defined __x86_64__
#include <sys/auxv.h>
#include <sys/rseq.h>

// By concurrency id or CPU number; a pointer table, so that a section needs no multiplication.
static stacks per_cpu[MAX_CPUS];
static stacks *table[MAX_CPUS];
// Distances from the thread pointer: of glibc's rseq area, and in it of the id.
static ptrdiff_t area, id;

// Whether there are per-CPU stacks on this machine.
int percpu_start(void) {
    enum { CPU_ID = 4, MM_CID = 24, FEATURE_SIZE_TAG = 27 };
    if (__rseq_size == 0 || sysconf(_SC_NPROCESSORS_CONF) > MAX_CPUS) return 0;
    area = __rseq_offset;
    id = area + (getauxval(FEATURE_SIZE_TAG) >= MM_CID + 4 ? MM_CID : CPU_ID);
    for (size_t i = 0; i < MAX_CPUS; i++) table[i] = &per_cpu[i];
    return 1;
}

// A section announces its descriptor at offset 8 of the area. If the thread is preempted, moved or interrupted
// before the last instruction, the kernel goes on at 4, behind the signature, which starts again.
#define SECTION(body)                                                                                       \
    ".pushsection .data.rel.ro.sections, \"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n" \
    "0: leaq 3b(%%rip), %%rax\nmovq %%rax, %%fs:8(%[area])\n"                                               \
    "1: movl %%fs:(%[id]), %%eax\nmovq (%[table], %%rax, 8), %%rax\n"                                       \
    "movl (%%rax, %[class], 4), %%ecx\n" body                                                               \
    "movl %%ecx, (%%rax, %[class], 4)\n2:\n"                                                                \
    ".pushsection .text.unlikely\n.byte 0x0f, 0xb9, 0x3d\n.long 0x53053053\n4: jmp 0b\n.popsection\n"

void *percpu_pop(size_t class_index) {
    void *object = NULL;
    size_t row = offsetof(stacks, objects) + class_index * CAPACITY * sizeof(void *);
    __asm__ volatile(SECTION("subl $1, %%ecx\njb 2f\nleaq (%%rax, %[row]), %%rdx\nmovq (%%rdx, %%rcx, 8), %[object]\n")
                     : [object] "+&r"(object)
                     : [area] "r"(area), [id] "r"(id), [table] "r"(table), [class] "r"(class_index), [row] "r"(row)
                     : "rax", "rcx", "rdx", "memory", "cc");
    return object;
}

void percpu_push(size_t class_index, void *object) {
    size_t row = offsetof(stacks, objects) + class_index * CAPACITY * sizeof(void *);
    __asm__ volatile(SECTION("cmpl %[capacity], %%ecx\nje 2f\nleaq (%%rax, %[row]), %%rdx\n"
                             "movq %[object], (%%rdx, %%rcx, 8)\naddl $1, %%ecx\n")
                     :
                     : [area] "r"(area), [id] "r"(id), [table] "r"(table), [class] "r"(class_index), [row] "r"(row),
                       [object] "r"(object), [capacity] "i"(CAPACITY)
                     : "rax", "rcx", "rdx", "memory", "cc");
}
#else
// Written for one architecture only: elsewhere the plain stack is the limit, and `micro limit` says so.
int percpu_start(void) { return 0; }
void *percpu_pop(size_t class_index) { return stack_pop(class_index); }
void percpu_push(size_t class_index, void *object) { stack_push(class_index, object); }
#endif
