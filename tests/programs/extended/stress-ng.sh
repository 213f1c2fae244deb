#!/bin/bash
# Stressors that allocate, or fork and map around the allocator, with verification of what they read
# back. Bounded by operations, and by time where they are slow.
. "$(dirname "$0")/common.sh"
probe stress-ng --version

stress() {
    run "stress-${1#--}.log" stress-ng --verify --timeout 60s --temp-path "$PWD" --metrics-brief --no-rand-seed "$@"
    grep -q 'successful run completed' "stress-${1#--}.log" || fail "stress-ng $*: $(tail -n 1 "stress-${1#--}.log")"
    ! grep -iE 'fail:|error:' "stress-${1#--}.log" >&2 || fail "stress-ng $*: $(grep -iE 'fail:|error:' "stress-${1#--}.log" | head -n 1)"
}
stress --malloc 2 --malloc-ops 20000 --malloc-bytes 256k --malloc-max 4096 --malloc-touch
stress --malloc 2 --malloc-ops 200000 --malloc-bytes 2m --malloc-max 2048
stress --malloc 1 --malloc-ops 50000 --malloc-bytes 1m --malloc-pthreads 4
stress --malloc 1 --malloc-ops 50000 --malloc-bytes 256m --malloc-thresh 4096 --malloc-zerofree
stress --vm 2 --vm-ops 3000 --vm-bytes 32m --vm-method all
stress --fork 2 --fork-ops 1500
stress --vfork 2 --vfork-ops 1500
stress --pthread 2 --pthread-ops 2000 --pthread-max 64
stress --bigheap 1 --bigheap-ops 500 --bigheap-growth 512k
stress --brk 1 --brk-ops 20000
stress --mmap 1 --mmap-ops 4 --mmap-bytes 4m
stress --mremap 1 --mremap-ops 500 --mremap-bytes 16m
stress --tree 1 --tree-ops 10 --tree-size 50000
stress --tsearch 1 --tsearch-ops 10
stress --hsearch 1 --hsearch-ops 20
stress --zlib 2 --zlib-ops 40
stress --dynlib 1 --dynlib-ops 500
stress --judy 1 --judy-ops 10 --judy-size 50000
