#!/bin/bash
set -eu
. "$(dirname "$0")/input.sh"
make_input plain 8
for level in 1 6 12; do
    zstd -q -T2 -B1MiB -$level -c plain >plain.zst
    sha256sum <plain.zst
    zstd -q -t plain.zst
    zstd -q -d -c plain.zst | cmp - plain
done
# A trained dictionary and many small files.
mkdir small
split -b 2000 -a 4 plain small/part
rm -f small/part[b-z]*
zstd -q --train small/* -o dictionary --maxdict=16384
zstd -q -D dictionary -T2 --rm small/*
zstd -q -d -D dictionary small/*.zst
cat small/part???? | cmp -n 1000000 - plain
find small -name '*.zst' | wc -l
