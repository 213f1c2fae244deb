#!/bin/bash
# 1,500 functions with loops, switches and tables; cc1, as and ld all run on the preloaded library.
set -eu
awk 'BEGIN {
    print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
    for (i = 0; i < 1500; i++) {
        printf "struct s%d { int a[%d]; struct s%d *next; char name[%d]; };\n", i, i % 13 + 1, i, i % 29 + 2
        printf "static const int table%d[] = {", i
        for (j = 0; j < 16; j++) printf "%d,", (i * 31 + j * 17) % 1009
        print "};"
        printf "static unsigned f%d(unsigned x) {\n  unsigned r = x;\n", i
        printf "  for (int i = 0; i < %d; i++) { r = r * 33 + (unsigned)table%d[(r + (unsigned)i) %% 16]; if (r & 1) r ^= x >> %d; }\n", i % 7 + 3, i, i % 5 + 1
        print "  switch (r % 5) {"
        for (j = 0; j < 5; j++) printf "  case %d: r += %du; break;\n", j, i * j + 1
        print "  }"
        printf "  struct s%d *p = malloc(sizeof *p); memset(p, (int)(r & 0xff), sizeof *p); r += (unsigned char)p->name[1]; free(p);\n", i
        if (i > 0) printf "  if (x > 100) r += f%d(x / 2);\n", i - 1
        print "  return r;\n}"
    }
    print "int main(void) {\n  unsigned sum = 0;"
    for (i = 0; i < 1500; i += 50) printf "  sum = sum * 31 + f%d(%du);\n", i, i * 7 + 1
    print "  printf(\"%u\\n\", sum);\n  return 0;\n}"
}' >large.c
gcc -O2 -g -c large.c -o large.o
sha256sum large.o
gcc -O0 large.c -o unoptimized
gcc large.o -o optimized
./unoptimized
./optimized
