#!/bin/bash
set -eu
export LC_ALL=C
. "$(dirname "$0")/input.sh"
make_input plain 16
sort --parallel=2 -S 64M plain >sorted
sort -c sorted
sha256sum sorted
# A small buffer makes it merge from temporary files.
sort --parallel=2 -S 2M -k2,2 -k1,1nr plain | sha256sum
shuf --random-source=plain plain | sort --parallel=2 -S 64M | cmp - sorted
cut -d' ' -f2 plain | sort -u --parallel=2 | wc -l
sort --parallel=2 -R --random-source=plain plain | sort | cmp - sorted
LC_ALL=C.UTF-8 sort --parallel=2 -f -k8 plain | sha256sum
join -j 1 sorted sorted | head -n 100000 | sha256sum
head -n 200000 sorted | comm -12 - sorted | wc -l
tac plain | tac | cmp - plain
