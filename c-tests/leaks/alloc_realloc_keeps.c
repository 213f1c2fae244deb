// Proves that a block behind realloc keeps what it points to, before and after it moves.
// expect-leaks: definitely=0/0
#include "leak.h"

struct node **array;

int main(void) {
    array = (struct node **)malloc(sizeof *array);
    array[0] = make_node(NULL);
    array = (struct node **)realloc(array, 1000 * sizeof *array);
    for (int i = 1; i < 1000; i++) array[i] = make_node(NULL);
    array = (struct node **)realloc(array, 100000 * sizeof *array);
    memset(array + 1000, 0, 99000 * sizeof *array);
}
