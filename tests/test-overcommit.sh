#!/bin/bash
# Runs the C programs about limits, and those about every function, with vm.overcommit_memory=2, in which the kernel
# promises no more memory than it has. The setting is the whole machine's: other programs may find no memory meanwhile,
# so no other test makes it. Needs root; the old setting comes back at the end.
set -eu

setting=/proc/sys/vm/overcommit_memory
cd "$(dirname "$0")/.."
old=$(cat $setting)
# Built under the old setting: compilers reserve much.
cargo test --locked --features leak --test c_tests --no-run
if ! (echo 2 >$setting) 2>/dev/null; then
    echo "$setting can't be written here: nothing was tested" >&2
    exit 1
fi
trap 'echo "$old" >$setting' EXIT
trap 'exit 130' INT TERM
cargo test --locked --features leak --test c_tests -- err_ abi_
