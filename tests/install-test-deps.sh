#!/bin/bash
# Installs what the tests run: `install-test-deps.sh` for `make test`, `install-test-deps.sh --all` for
# `make test-programs` too, `install-test-deps.sh --build` only what it takes to build, `--cross-check` for `make cross-check`. Says nothing when all is there. Without root, or without apt-get, it prints
# what to install and fails.
set -eu

missing=()

# need COMMAND PACKAGE...: the packages are wanted unless the command is found.
need() {
    local command=$1
    shift
    # Daemons live in /usr/sbin, which an ordinary user's path leaves out.
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$command" >/dev/null 2>&1 || missing+=("$@")
}

# Python's own test suite comes with some Pythons; Debian packs it apart.
has_python_tests() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import test.test_json, test.test_sqlite3, ctypes' >/dev/null 2>&1 && return 0
    done
    return 1
}

need_for_build() {
    need cc gcc libc6-dev
}

# bindgen, which reads the header back, loads libclang; libclang-cpp is another library.
has_libclang() {
    compgen -G '/usr/lib/*/libclang[-.][0-9s]*' >/dev/null || compgen -G '/usr/lib/llvm-*/lib/libclang[-.][0-9s]*' >/dev/null
}

need_for_test() {
    need_for_build
    need readelf binutils
    has_libclang || missing+=(libclang-dev)
    need perl perl
    need git git
    need gcc gcc libc6-dev
    need g++ g++
    need sqlite3 sqlite3
    need xz xz-utils
    need zstd zstd
    need tar tar
    need openssl openssl
    need awk mawk
    need sort coreutils
    need cmp diffutils
    need rev bsdextrautils
    need valgrind valgrind
    need strace strace
    need gdb gdb
    has_python_tests || missing+=(python3 "libpython$(debian_python)-testsuite")
}

# The version of Debian's python3, installed or to be installed.
debian_python() {
    apt-cache show python3 2>/dev/null | sed -n 's/^Version: \([0-9]*\.[0-9]*\).*/\1/p' | sort -V | tail -n 1
}

need_for_programs() {
    need redis-server redis-server
    need redis-benchmark redis-tools
    compgen -G '/usr/lib/postgresql/*/bin/pgbench' >/dev/null || missing+=(postgresql)
    need nginx nginx-light
    need wrk wrk
    need curl curl
    need pgrep procps
    need node nodejs
    need ruby ruby
    need php php-cli
    [ "$(php -m 2>/dev/null | grep -cxE "intl|mbstring|dom")" = 3 ] || missing+=(php-intl php-mbstring php-xml)
    need javac default-jdk-headless
    need stress-ng stress-ng
    need chromium chromium
}

# gcc finds its leak sanitizer beside its other libraries.
has_lsan() {
    [ "$(gcc -print-file-name=liblsan.so 2>/dev/null)" != liblsan.so ]
}

need_for_cross_check() {
    need_for_build
    need g++ g++
    need valgrind valgrind
    has_lsan || missing+=(gcc)
}

case "${1-}" in
--all)
    need_for_test
    need_for_programs
    ;;
--build) need_for_build ;;
--cross-check) need_for_cross_check ;;
'') need_for_test ;;
*)
    echo "usage: $0 [--all | --build | --cross-check]" >&2
    exit 2
    ;;
esac
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need these Debian packages, or what corresponds to them:" >&2
    echo "    sudo apt-get install ${missing[*]}" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
# Servers come for the tests alone: a policy of the machine decides whether they start; the tests
# start their own on other ports.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    echo "could not install: ${missing[*]}" >&2
    exit 1
fi
echo "installed for the tests: ${missing[*]}"
