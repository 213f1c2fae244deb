# Sourced by the scripts of this folder, which `tests/test-programs.sh` runs in an empty directory each.
#
# In:  BESOM_TEST_LIB      the library to preload; empty for a run without it
#      BESOM_TEST_OPTIONS  the value of BESOM_OPTIONS
# A script ends with status 0, or says why not in the last line on standard error. What its programs
# print goes to files named *.log, where the caller looks for messages of the library.
set -eu

# A command behind this prefix runs on the library. `env` is replaced by the program, so that $! of a
# background command is the program's own process.
PRELOAD=(env)
[ -z "$BESOM_TEST_LIB" ] || PRELOAD=(env "LD_PRELOAD=$BESOM_TEST_LIB" "BESOM_OPTIONS=$BESOM_TEST_OPTIONS")

SERVER=
stop_server() {
    [ -n "$SERVER" ] || return 0
    kill -TERM "$SERVER" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$SERVER" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$SERVER" 2>/dev/null || true
    wait "$SERVER" 2>/dev/null || true
    SERVER=
}
trap stop_server EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

fail() {
    echo "$*" >&2
    exit 1
}

# run LOG COMMAND...: on the library; output in LOG; fails if the command does.
run() {
    local log=$1 status=0
    shift
    "${PRELOAD[@]}" "$@" >"$log" 2>&1 || status=$?
    [ $status -eq 0 ] || fail "$1 ended with status $status: $(tail -n 1 "$log")"
}

# same COMMAND...: prints and ends the same without and with the library.
same() {
    local status=0 on_library=0
    "$@" >bare.out 2>bare.log || status=$?
    [ $status -eq 0 ] || fail "$1 fails without the library (status $status): $(tail -n 1 bare.log)"
    [ -s bare.out ] || fail "$1 prints nothing to compare"
    "${PRELOAD[@]}" "$@" >preloaded.out 2>preloaded.log || on_library=$?
    [ $on_library -eq 0 ] || fail "$1 ended with status $on_library: $(tail -n 1 preloaded.log)"
    cmp bare.out preloaded.out >&2 || fail "$1 prints something else: $(diff bare.out preloaded.out | sed -n 2p)"
}

# wait_for WHAT COMMAND...: until the command succeeds, for a minute at most, while the server lives.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >/dev/null 2>&1 && return 0
        [ -z "$SERVER" ] || kill -0 "$SERVER" 2>/dev/null || fail "the server ended while waiting for $what"
        sleep 0.2
    done
    fail "waited a minute for $what"
}

# on_library PID: the process has the library in it.
on_library() {
    [ -z "$BESOM_TEST_LIB" ] || grep -qF "$BESOM_TEST_LIB" "/proc/$1/maps" || fail "process $1 runs without the library"
}

# probe COMMAND...: shows by the statistics at exit that the library is in the program.
probe() {
    local status=0
    [ -n "$BESOM_TEST_LIB" ] || return 0
    env "LD_PRELOAD=$BESOM_TEST_LIB" "BESOM_OPTIONS=stats=1:$BESOM_TEST_OPTIONS" "$@" >probe.out 2>&1 || status=$?
    [ $status -eq 0 ] || fail "$1 ended with status $status: $(tail -n 1 probe.out)"
    grep -q '^besom:   caches: ' probe.out || fail "$1 prints no statistics at exit: the library is not in it"
}

# stop_and_check: the server ends by itself on SIGTERM, with status 0.
stop_and_check() {
    local status=0 pid=$SERVER
    kill -TERM "$pid"
    wait "$pid" || status=$?
    SERVER=
    [ $status -eq 0 ] || fail "the server ended with status $status on SIGTERM"
}
