# Sourced: writes text and binary-like input of a given size, the same in every run.

# make_input FILE MIB
make_input() {
    awk -v lines="$(($2 * 16384))" 'BEGIN {
        x = 1
        for (i = 0; i < lines; i++) {
            x = (x * 16807) % 2147483647
            printf "%010d %08x the quick brown fox %015d jumps over %06d\n", x, x * 7, i * 13, x % 1000
        }
    }' >"$1"
}
