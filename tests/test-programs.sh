#!/bin/bash
# Runs servers, language run-times and a browser from Debian on the library, in both forms of its caches:
# one line for each, `ok NAME` or `FAIL NAME: why`, and `N passed, N failed` at the end.
#
# test-programs.sh [--bare] [PROGRAM...]    PROGRAM: a script of tests/programs/extended, without .sh
#   --bare   without the library, to see whether a failure is the program's own
# BESOM_LIB  the library under test (default: target/release/libbesom.so)
set -u

here=$(cd "$(dirname "$0")" && pwd)
programs=(redis postgresql nginx node ruby php java stress-ng chromium)
# A script that takes longer hangs: the slowest needs about a minute on two quiet cores.
hang_limit_seconds=900

bare=
if [ "${1-}" = --bare ]; then
    bare=1
    shift
fi
[ $# -eq 0 ] || programs=("$@")
lib=${BESOM_LIB:-$here/../target/release/libbesom.so}
if [ -z "$bare" ] && [ ! -f "$lib" ]; then
    echo "$lib is missing: run \`make\` first" >&2
    exit 1
fi
"$here/install-test-deps.sh" --all || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/besom-programs.XXXXXX")
# Servers that may not be root read the library and make files in here.
chmod 755 "$work"
child=
cleanup() {
    [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null && wait "$child" 2>/dev/null; }
    [ -n "${keep-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

passed=0
failed=0
keep=

# run_one NAME PROGRAM LIBRARY OPTIONS
run_one() {
    local name=$1 script=$here/programs/extended/$2.sh dir why status=0
    dir=$(mktemp -d "$work/$2.XXX")
    chmod 755 "$dir"
    # `timeout` leads a process group of its own, and ends all of it.
    (cd "$dir" && exec env -u LD_PRELOAD -u BESOM_OPTIONS LC_ALL=C.UTF-8 TMPDIR="$dir" BESOM_TEST_LIB="$3" BESOM_TEST_OPTIONS="$4" \
        timeout --kill-after=30 $hang_limit_seconds bash "$script" </dev/null >"$dir/script.out" 2>"$dir/script.err") &
    child=$!
    wait $child || status=$?
    child=
    case $status in
    0) why=$(grep -rhs --include='*.log' '^besom:' "$dir" | head -n 1) ;;
    124 | 137) why="hangs: not done after $hang_limit_seconds s" ;;
    *) why=$(tail -n 1 "$dir/script.err") && why=${why:-"status $status"} ;;
    esac
    if [ -z "$why" ]; then
        echo "ok $name"
        passed=$((passed + 1))
        rm -rf "$dir"
    else
        echo "FAIL $name: $why"
        echo "  files in $dir" >&2
        failed=$((failed + 1))
        keep=1
    fi
}

if [ -n "$bare" ]; then
    for program in "${programs[@]}"; do run_one "$program (bare)" "$program" '' ''; done
else
    cp "$lib" "$work/libbesom.so"
    chmod 644 "$work/libbesom.so"
    for program in "${programs[@]}"; do
        run_one "$program (default)" "$program" "$work/libbesom.so" ''
        run_one "$program (locked caches)" "$program" "$work/libbesom.so" 'rseq=0'
    done
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
