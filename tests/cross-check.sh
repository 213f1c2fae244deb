#!/bin/bash
# Compares besom's verdicts on the programs of c-tests/leaks with those of valgrind and LeakSanitizer.
#
# cross-check.sh [--jobs N] [PROGRAM...]    PROGRAM: a file of c-tests/leaks, without extension; all if none is named
#
# Each program is built three times: plainly for besom, with c-tests/lib/elsewhere.c for valgrind, and with that and
# -fsanitize=leak for LeakSanitizer. What counts is the last check that its first process makes: bytes and blocks
# definitely, indirectly and possibly lost; for LeakSanitizer, which tells fewer kinds apart, the sum of the first
# two. Every difference must be explained in c-tests/leaks/differences.txt, and every explanation be used. With all
# programs compared, the table goes to docs/leaks-cross-check.md.
#
# BESOM_LIB    the library under test (default: target/release/libbesom.so)
# BESOM_PLAIN  a static form of it (default: target/release/libbesom.a)
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
sources=$root/c-tests/leaks
differences=$sources/differences.txt
table=$root/docs/leaks-cross-check.md
lib=${BESOM_LIB:-$root/target/release/libbesom.so}
lib_static=${BESOM_PLAIN:-$root/target/release/libbesom.a}
work=$root/target/cross-check
# A program that a tool has not ended after so many seconds counts as one without a verdict.
limit_seconds=60

jobs=$(nproc)
if [ "${1-}" = --jobs ]; then
    jobs=$2
    shift 2
fi
programs=("$@")

[ -f "$lib" ] || { echo "$lib is missing: run \`make\` first" >&2; exit 1; }
"$root/tests/install-test-deps.sh" --cross-check || exit 1
mkdir -p "$work"
elsewhere() {
    gcc -O1 -g -w -c -I"$root/include" -o "$work/elsewhere.$1.o" "${@:2}" "$root/c-tests/lib/elsewhere.c"
}
elsewhere valgrind && elsewhere lsan -DWITH_LSAN || exit 1

# directive FILE KEY: the values of `// KEY: value` in a program's header, a line each.
directive() {
    sed -n "/^\/\//!q; s|^// $2: ||p" "$1"
}

# As the tests do, see tests/c_tests/compile.rs.
common_flags=(-g -w -fno-builtin -fno-omit-frame-pointer -D_GNU_SOURCE -rdynamic)

# build PROGRAM SOURCE VARIANT FLAGS...
build() {
    local name=$1 source=$2 variant=$3 compiler=(gcc) flags=()
    shift 3
    case $source in
    *.cpp) compiler=(g++ -std=c++17 -fno-allocation-dce -faligned-new) ;;
    esac
    for flag in $(directive "$source" flags); do
        case $flag in
        '{a}') [ "$variant" = plain ] && flags+=("$lib_static") ;;
        '{so}') [ "$variant" = plain ] && flags+=("$lib") ;;
        *) flags+=("$flag") ;;
        esac
    done
    local builds
    mapfile -t builds < <(directive "$source" build)
    # shellcheck disable=SC2086
    "${compiler[@]}" ${builds[0]:--O1} "${common_flags[@]}" -I"$root/include" \
        -o "$work/$name.$variant" "$source" "$@" "${linked[@]}" "${flags[@]}" -ldl
}

# build_libraries PROGRAM SOURCE: beside each other. The path of the last one that the program opens is `library`, the
# arguments for those that it is linked with are `linked`.
build_libraries() {
    local directory=$work/$1.libraries file how compiler
    library= linked=()
    while read -r file how; do
        mkdir -p "$directory"
        case $file in *.cpp) compiler=(g++ -std=c++17) ;; *) compiler=(gcc) ;; esac
        "${compiler[@]}" -O1 -shared -fPIC "${common_flags[@]}" -o "$directory/lib${file//./_}.so" \
            "$root/c-tests/lib/$file" -ldl || return 1
        case $how in
        open) library=$directory/lib${file//./_}.so ;;
        link) linked+=("$directory/lib${file//./_}.so" "-Wl,-rpath,$directory") ;;
        *) echo "$1: library: $file $how: this script does not know how" >&2; return 1 ;;
        esac
    done < <(directive "$2" library)
}

# in_the_first PROGRAM TOOL COMMAND...: runs it, and leaves the number of the first process in NAME.TOOL.pid.
in_the_first() {
    local name=$1 tool=$2 status=0
    shift 2
    rm -f "$work/$name.$tool".log*
    # The outer redirection is for what this shell says of a program that a signal ends.
    # shellcheck disable=SC2016
    {
        timeout --kill-after=10 $limit_seconds bash -c 'echo $$ >"$0"; ulimit -c 0; exec "$@"' \
            "$work/$name.$tool.pid" "$@" </dev/null >"$work/$name.$tool.out" 2>"$work/$name.$tool.err" || status=$?
    } 2>/dev/null
    echo $status >"$work/$name.$tool.status"
}

# The kinds of leak reports, besom's and valgrind's, of which the last counts: `bytes/blocks` each.
kinds() {
    local log=$1
    [ -f "$log" ] || return 0
    awk '
        function amount(kind, text) {
            gsub(/,/, "", text)
            match(text, /: [0-9]+ bytes in [0-9]+ block/)
            split(substr(text, RSTART + 2, RLENGTH - 2), word, " ")
            found[kind] = word[1] "/" word[4]
        }
        /All heap blocks were freed/ { for (kind in names) found[kind] = "0/0"; seen = 1 }
        /definitely lost: / { amount("definitely", $0); seen = 1 }
        /indirectly lost: / { amount("indirectly", $0) }
        /possibly lost: / { amount("possibly", $0) }
        BEGIN { names["definitely"]; names["indirectly"]; names["possibly"] }
        END { if (seen) print found["definitely"], found["indirectly"], found["possibly"] }
    ' "$log"
}

# log_path PROGRAM TOOL: the option for the reports of besom or LeakSanitizer; log: where the first process's are.
log_path() {
    [ -n "$text" ] || echo "log_path=$work/$1.$2.log"
}
log() {
    if [ -n "$text" ]; then echo "$work/$1.$2.err"; else echo "$work/$1.$2.log.$(cat "$work/$1.$2.pid")"; fi
}

# What LeakSanitizer says in all: `bytes/blocks` of the last summary.
lsan_total() {
    local log=$1 status=$2
    if [ -f "$log" ] && grep -q 'SUMMARY: LeakSanitizer' "$log"; then
        sed -n 's|^SUMMARY: LeakSanitizer: \([0-9]*\) byte(s) leaked in \([0-9]*\) allocation(s).*|\1/\2|p' "$log" | tail -n 1
    elif [ "$status" -lt 124 ] && ! grep -qs 'LeakSanitizer has encountered' "$log"; then
        echo 0/0
    fi
}

# compare PROGRAM: runs it under all three, and writes its line of the table to NAME.line and what is to be
# explained to NAME.unexplained.
compare() {
    local name=$1 source besom valgrind lsan options environment library linked text
    source=$(ls "$sources/$name".c*)
    rm -f "$work/$name".{line,unexplained,used}
    options=$(directive "$source" options | paste -sd:)
    mapfile -t environment < <(directive "$source" env | sed "s|{sources}|$root/c-tests|")
    build_libraries "$name" "$source" || return 1
    [ -z "$library" ] || environment+=("TEST_LIBRARY=$library")
    # Such a program writes its reports to standard error: some could not open a file.
    text=$(directive "$source" reports | grep -x text)
    build "$name" "$source" plain && build "$name" "$source" valgrind "$work/elsewhere.valgrind.o" &&
        build "$name" "$source" lsan -fsanitize=leak "$work/elsewhere.lsan.o" || return 1

    local preload="LD_PRELOAD=$lib"
    directive "$source" preload | grep -q '^no ' && preload=BESOM=linked
    in_the_first "$name" besom env "${environment[@]}" "$preload" \
        BESOM_OPTIONS="$options:leak=1:verbosity=1:$(log_path "$name" besom)" "$work/$name.plain"
    besom=$(kinds "$(log "$name" besom)")

    # Of besom's options LeakSanitizer knows these; of the program's environment it reads LSAN_OPTIONS as besom does.
    local lsan_options
    lsan_options=$(tr : '\n' <<<"$options" |
        grep -E '^(use_(globals|stacks|registers|tls|unaligned)|exitcode|max_leaks|report_objects)=' | paste -sd:)
    for variable in "${environment[@]}"; do
        [ "${variable%%=*}" = LSAN_OPTIONS ] && lsan_options=$lsan_options:${variable#*=}
    done
    in_the_first "$name" lsan env "${environment[@]}" \
        LSAN_OPTIONS="$lsan_options:$(log_path "$name" lsan)" "$work/$name.lsan"
    lsan=$(lsan_total "$(log "$name" lsan)" "$(cat "$work/$name.lsan.status")")

    in_the_first "$name" valgrind env "${environment[@]}" valgrind --leak-check=full --show-leak-kinds=all \
        --run-libc-freeres=no --run-cxx-freeres=no --max-threads=2000 --suppressions="$sources/valgrind.supp" \
        --log-file="$work/$name.valgrind.log.%p" "$work/$name.valgrind"
    valgrind=$(kinds "$work/$name.valgrind.log.$(cat "$work/$name.valgrind.pid")")

    judge "$name" valgrind "${besom:-none}" "${valgrind:-none}"
    judge "$name" lsan "$(lost "${besom:-none}")" "${lsan:-none}"
    echo "| \`$name\` | ${besom:-no report} | $(same_or "${besom:-none}" "${valgrind:-none}") |" \
        "$(same_or "$(lost "${besom:-none}")" "${lsan:-none}") | $(paste -sd";" "$work/$name.used" 2>/dev/null) |" >"$work/$name.line"
}

# Definitely and indirectly lost, in sum.
lost() {
    [ "$1" = none ] && { echo none; return; }
    awk '{ split($1, d, "/"); split($2, i, "/"); print d[1] + i[1] "/" d[2] + i[2] }' <<<"$1"
}

same_or() {
    if [ "$1" = "$2" ] || [ "$1 $2" = "none 0/0" ]; then echo same; else echo "${2/#none/no report}"; fi
}

# judge PROGRAM TOOL OURS THEIRS: a difference needs an explanation.
judge() {
    local name=$1 tool=$2 ours=$3 theirs=$4 reason
    # LeakSanitizer is silent where it finds nothing and where it makes no check.
    [ "$ours" = "$theirs" ] || [ "$tool $ours $theirs" = "lsan none 0/0" ] && return
    reason=$(explanation "$name" "$tool")
    if [ -n "$reason" ]; then
        echo "${tool/lsan/LeakSanitizer}: $reason" >>"$work/$name.used"
        echo "$tool" >>"$work/$name.explained"
    else
        echo "$name: besom says $ours, $tool $theirs" >>"$work/$name.unexplained"
    fi
}

# The reason of a line `PROGRAM TOOL REASON`; a TOOL with `?` behind it may also agree, by chance.
explanation() {
    awk -v name="$1" -v tool="$2" '$1 == name && ($2 == tool || $2 == tool "?") {
        sub(/^[^ ]+ +[^ ]+ +/, ""); print; exit
    }' "$differences"
}

if [ ${#programs[@]} -eq 0 ]; then
    whole=1
    mapfile -t programs < <(cd "$sources" && ls ./*.c ./*.cpp | sed 's|^\./||; s|\.[a-z]*$||' | LC_ALL=C sort)
else
    whole=
fi

rm -f "$work"/*.explained
running=0
for name in "${programs[@]}"; do
    compare "$name" || echo "$name: does not build" >"$work/$name.unexplained" &
    running=$((running + 1))
    if [ $running -ge "$jobs" ]; then
        wait -n
        running=$((running - 1))
    fi
done
wait

failed=0
for name in "${programs[@]}"; do
    if [ -s "$work/$name.unexplained" ]; then
        cat "$work/$name.unexplained"
        failed=$((failed + 1))
    fi
done

# Explanations of differences that there are not would mislead.
while read -r name tool _; do
    case $name in '' | '#'*) continue ;; esac
    [[ " ${programs[*]} " == *" $name "* ]] || { [ -z "$whole" ] || { echo "$name: explained, but no such program"; failed=$((failed + 1)); }; continue; }
    [[ $tool == *\? ]] && continue
    if ! grep -qsx "$tool" "$work/$name.explained"; then
        echo "$name: explained for $tool, but there is no difference"
        failed=$((failed + 1))
    fi
done <"$differences"

if [ -n "$whole" ]; then
    {
        sed -n '/^|/q;p' "$table"
        echo '| program | besom | valgrind | LeakSanitizer | why they differ |'
        echo '| --- | --- | --- | --- | --- |'
        for name in "${programs[@]}"; do cat "$work/$name.line"; done
    } >"$work/table.md"
    cp "$work/table.md" "$table"
fi
echo "${#programs[@]} programs compared, $failed unexplained"
[ $failed -eq 0 ]
