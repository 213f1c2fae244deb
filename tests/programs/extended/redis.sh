#!/bin/bash
# All default tests of redis-benchmark, and the forks of BGSAVE and BGREWRITEAOF while they run.
. "$(dirname "$0")/common.sh"

"${PRELOAD[@]}" redis-server --port 0 --unixsocket "$PWD/redis.sock" --dir "$PWD" --daemonize no --save '' \
    --enable-debug-command yes --io-threads 2 >server.log 2>&1 &
SERVER=$!
cli() { redis-cli -s redis.sock "$@"; }
wait_for 'redis' cli ping
on_library $SERVER
used() { cli info memory | tr -d '\r' | sed -n 's/^used_memory://p'; }
at_start=$(used)

run benchmark.log redis-benchmark -s "$PWD/redis.sock" -q -n 20000 -c 30 -r 20000 -d 200 --threads 2
tests=$(tr '\r' '\n' <benchmark.log | grep -c 'requests per second') || true
[ "$tests" -ge 18 ] || fail "redis-benchmark finished $tests tests"

# Values of many sizes and kinds, made by the server itself.
cli debug populate 100000 plain 300 >/dev/null
cli eval "for i = 1, 20000 do
    redis.call('hset', 'hash' .. i % 50, 'f' .. i, string.rep('v', i % 700))
    redis.call('zadd', 'zset' .. i % 20, i % 997, 'member' .. i)
    redis.call('rpush', 'list' .. i % 30, string.rep('e', i % 90))
    redis.call('append', 'text' .. i % 10, string.rep('t', 60))
end
return 1" 0 >/dev/null
digest=$(cli debug digest)
[ ${#digest} -eq 40 ] || fail "debug digest says $digest"

# Children write the data set while clients go on.
("${PRELOAD[@]}" redis-benchmark -s "$PWD/redis.sock" -q -n 40000 -c 20 -r 1000 -t set,lpush,hset >under-fork.log 2>&1) &
load=$!
for round in 1 2 3; do
    cli bgsave >/dev/null
    wait_for "bgsave $round" sh -c "redis-cli -s redis.sock info persistence | grep -q 'rdb_bgsave_in_progress:0'"
done
cli bgrewriteaof >/dev/null
wait_for 'bgrewriteaof' sh -c "redis-cli -s redis.sock info persistence | grep -q 'aof_rewrite_in_progress:0'"
wait $load || fail 'redis-benchmark failed while the server forked'
cli info persistence | grep -q 'rdb_last_bgsave_status:ok' || fail 'bgsave failed'
cli info persistence | grep -q 'aof_last_bgrewrite_status:ok' || fail 'bgrewriteaof failed'

# Everything freed, and read back from disk.
digest=$(cli debug digest)
[ "$(cli debug reload)" = OK ] || fail 'debug reload failed'
[ "$(cli debug digest)" = "$digest" ] || fail 'the data changed by debug reload'
[ "$(cli flushall)" = OK ] || fail 'flushall failed'
# Redis adds up malloc_usable_size on both sides: what is left says whether the two agree.
left=$(($(used) - at_start))
[ $left -lt 8000000 ] || fail "redis counts $left bytes more than at its start after flushall"
stop_and_check
