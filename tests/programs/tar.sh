#!/bin/bash
set -eu
mkdir -p tree
# Long paths, hard and symbolic links, an empty directory, a sparse file, 3,000 small files.
for d in $(seq 1 30); do
    dir=tree/$(printf 'directory-with-a-long-name-%03d/' "$d" 1)
    mkdir -p "$dir"
    awk -v dir="$dir" 'BEGIN { for (i = 0; i < 100; i++) { f = dir "/file" i; for (j = 0; j <= i; j++) print i, j > f; close(f) } }'
    # ustar has room for 100 bytes in a link's target.
    ln "$dir/file1" "tree/hard$d"
    ln -s file2 "$dir/soft"
done
mkdir tree/empty
truncate -s 5M tree/sparse
echo data >>tree/sparse

options=(--sort=name --mtime='2020-01-01 00:00Z' --owner=0 --group=0 --numeric-owner)
for format in gnu ustar pax; do
    extra=()
    # By default the names of extended headers hold the process id.
    [ $format = pax ] && extra=(--pax-option='delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f')
    [ $format = gnu ] && extra=(--sparse)
    tar --format=$format "${options[@]}" "${extra[@]}" -cf $format.tar tree
    sha256sum $format.tar
    tar -tvf $format.tar | sha256sum
    mkdir $format
    tar -C $format -xf $format.tar
    diff -r --no-dereference tree $format/tree && echo "$format same"
done
tar -cf - tree | gzip -9 | tar -xzOf - tree/sparse | sha256sum
tar --delete -f gnu.tar tree/empty
tar -rf gnu.tar --mtime='2020-01-01 00:00Z' tree/empty
tar -tf gnu.tar | wc -l
