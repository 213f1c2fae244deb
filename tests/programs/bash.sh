#!/bin/bash
set -eu
declare -A words
declare -a list
for ((i = 0; i < 20000; i++)); do
    words["k$((i % 5003))"]+="$i,"
    list+=("value $i")
done
for ((i = 0; i < 20000; i += 3)); do unset "list[i]"; done
echo "${#words[@]} ${#list[@]} ${words[k17]}"
printf '%s\n' "${list[@]}" | sha256sum

text=$(for ((i = 0; i < 5000; i++)); do echo "line $i of ${RANDOM+text}"; done)
echo "${#text} ${text//line/LINE}" | sha256sum
long=x
for ((i = 0; i < 20; i++)); do long+=$long; done
echo "${#long}"

# A function that calls itself, with locals and command substitutions.
fib() {
    local n=$1
    if ((n < 2)); then echo "$n"; else echo $(($(fib $((n - 1))) + $(fib $((n - 2))))); fi
}
fib 11

# Subshells side by side, each growing its own copy of the arrays.
for ((n = 0; n < 40; n++)); do
    (
        for ((i = 0; i < 200; i++)); do list+=("child $n $i"); done
        echo "$n ${#list[@]}" >"out.$n"
    ) &
done
wait
sort -n out.* | sha256sum
for ((i = 0; i < 100; i++)); do echo $i | cat | tr 0-9 a-j | rev; done | sha256sum
