// Proves that malloc_info writes well-formed XML to a stream, and refuses options that don't exist.
#include "test.h"
#include <ctype.h>

static char text[1 << 20];
static char open_elements[32][64];
static size_t depth, elements;

/* Takes the name at `*at` and moves past it. */
static void name_at(const char **at, char *name) {
    size_t n = 0;
    while (isalnum((unsigned char)**at) || **at == '_' || **at == '-') name[n++] = *(*at)++;
    CHECK(n > 0 && n < 64);
    name[n] = 0;
}

/* Attributes: name="value", without < in the value. */
static void attributes_at(const char **at) {
    char name[64];
    while (isspace((unsigned char)**at)) {
        while (isspace((unsigned char)**at)) (*at)++;
        if (**at == '>' || **at == '/' || **at == '?') return;
        name_at(at, name);
        CHECK(*(*at)++ == '=');
        CHECK(*(*at)++ == '"');
        while (**at != '"' && **at != '<' && **at != 0) (*at)++;
        CHECK(*(*at)++ == '"');
    }
}

static void element_at(const char **at) {
    char name[64];
    int closing = **at == '/';
    if (closing) (*at)++;
    name_at(at, name);
    elements++;
    if (closing) {
        CHECK(depth > 0 && strcmp(open_elements[--depth], name) == 0);
    } else {
        attributes_at(at);
        CHECK(depth > 0 || elements == 1);
        if (**at == '/')
            (*at)++;
        else
            strcpy(open_elements[depth++], name);
    }
    CHECK(*(*at)++ == '>');
}

int main(void) {
    void *held = malloc(3 * MIB), *small = malloc(100);
    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK(malloc_info(0, file) == 0);
    CHECK(malloc_info(1, file) != 0);
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    CHECK(length > 0);
    const char *at = text;
    if (strncmp(at, "<?xml", 5) == 0) at = strstr(at, "?>") + 2;
    CHECK(strncmp(at + strspn(at, " \n"), "<malloc", 7) == 0);
    while (*at != 0) {
        CHECK(*at != '>' && *at != '&');
        if (*at++ == '<') element_at(&at);
    }
    CHECK(depth == 0 && elements > 2);
    free(held);
    free(small);
}
