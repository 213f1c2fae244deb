#!/bin/bash
set -eu
. "$(dirname "$0")/input.sh"
make_input plain 5
# Small blocks keep both threads busy and make each allocate its encoder again and again.
for level in 0 3; do
    xz -T2 -k -c -$level --block-size=1MiB plain >plain.xz
    sha256sum <plain.xz
    xz --list plain.xz | tail -n 1 | awk '{ print $1, $2 }'
    xz -t plain.xz
    xz -d -T2 -c plain.xz | cmp - plain
done
xz -T2 -k -c -6 --block-size=4MiB plain | xz -d | cmp - plain
xz --format=lzma -1 -c plain | xz -d --format=lzma | sha256sum
