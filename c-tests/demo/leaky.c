/* What `make demo` looks for leaks in: a cache whose entries are dropped without their text, and a list
 * whose head is overwritten. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *text;
    int uses;
};

struct node {
    struct node *next;
    int value;
};

static struct entry *cache[8];

static void remember(int slot, const char *text) {
    free(cache[slot]); /* forgets cache[slot]->text */
    cache[slot] = malloc(sizeof *cache[slot]);
    cache[slot]->text = strdup(text);
    cache[slot]->uses = 0;
}

static struct node *countdown(int from) {
    struct node *head = NULL;
    for (int i = 1; i <= from; i++) {
        struct node *node = malloc(sizeof *node);
        *node = (struct node){head, i};
        head = node;
    }
    return head;
}

int main(void) {
    for (int i = 0; i < 24; i++) {
        char text[32];
        snprintf(text, sizeof text, "entry number %d", i);
        remember(i % 8, text);
    }
    struct node *list = countdown(10);
    printf("counting down from %d\n", list->value);
    list = NULL; /* ten nodes that nothing leads to any more */
    return list != NULL;
}
