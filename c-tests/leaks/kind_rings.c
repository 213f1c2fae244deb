// Proves which block of a lost ring is the definite one: one, and none of a ring that something lost leads to.
// expect-leaks: definitely=400/10 indirectly=1400/35
// run:
// options: leak_workers=3
// run: in-place
// expect-stderr-has: {outcome}
#include "leak.h"
#include "forbid.h"

/* All blocks are of one size, so that rings made in turn lie in between each other. */
struct pair {
    struct pair *next, *other;
    char payload[24];
};

static NOINLINE struct pair *make_pair(void) {
    struct pair *pair = (struct pair *)make(sizeof *pair);
    pair->next = pair->other = NULL;
    return pair;
}

/* Links blocks to a ring in the order given; returns the first. */
static NOINLINE struct pair *ring(struct pair **blocks, const int *order, int count) {
    for (int i = 0; i < count; i++) blocks[order[i]]->next = blocks[order[(i + 1) % count]];
    return blocks[order[0]];
}

static NOINLINE void make_blocks(struct pair **blocks, int count) {
    for (int i = 0; i < count; i++) blocks[i] = make_pair();
}

static NOINLINE void lose_rings(void) {
    struct pair *b[8];
    const int up[] = {0, 1, 2}, down[] = {2, 1, 0}, mixed[] = {1, 0, 2};
    /* A ring with a tail of two that leads into it: the tail's head alone, wherever it lies. 1/4, twice. */
    make_blocks(b, 5);
    b[3]->next = b[4], b[4]->next = ring(b, up, 3);
    make_blocks(b, 5);
    b[1]->next = b[0], b[0]->next = ring(b + 2, down, 3);
    /* Two tails into one ring: both heads. 2/3. */
    make_blocks(b, 5);
    b[4]->next = ring(b, mixed, 3), b[3]->next = b[0];
    /* Two rings that point at one another are one knot. 1/5. */
    make_blocks(b, 6);
    ring(b, up, 3)->other = b[4], ring(b + 3, down, 3)->other = b[1];
    /* A ring that points at another: only the first. 1/5, in either order. */
    make_blocks(b, 6);
    ring(b, up, 3)->other = b[3], ring(b + 3, up, 3);
    make_blocks(b, 6);
    ring(b, up, 3), ring(b + 3, up, 3)->other = b[0];
    /* Rings in a row, the last in memory leading to all before it: 1/5. */
    make_blocks(b, 6);
    for (int i = 0; i < 6; i += 2) b[i]->next = b[i + 1], b[i + 1]->next = b[i];
    b[4]->other = b[2], b[2]->other = b[0];
    /* Blocks that point at themselves, below one that leads to all: 1/3. */
    make_blocks(b, 4);
    for (int i = 0; i < 3; i++) b[i]->next = b[i];
    b[2]->other = b[0], b[3]->next = b[1], b[3]->other = b[2];
    /* 1/1: a ring that only points into the middle of the other block. */
    make_blocks(b, 2);
    b[0]->next = (struct pair *)((char *)b[1] + 12), b[1]->next = (struct pair *)((char *)b[0] + 20);
    memset(b, 0, sizeof b);
}

int main(int count, char **arguments) {
    CHECK(sizeof(struct pair) == 40);
    lose_rings();
    if (count > 1 && strcmp(arguments[1], "in-place") == 0) {
        SAY_TEXT("outcome", "besom: leak check: no copy of the process could be made (error 11, too many processes or threads); it waits meanwhile");
        forbid_children();
    } else {
        SAY_TEXT("outcome", "marked in a copy");
        dprintf(2, "marked in a copy\n");
    }
}
