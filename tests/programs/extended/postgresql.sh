#!/bin/bash
# initdb, pgbench, parallel and just-in-time compiled queries, dump and restore. The server refuses to be
# root, so that root runs it as `postgres`.
. "$(dirname "$0")/common.sh"

bin=$(dirname "$(printf '%s\n' /usr/lib/postgresql/*/bin/pgbench | sort -V | tail -n 1)")
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    as_user=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    chown postgres .
fi
export HOME=$PWD PGHOST=$PWD PGDATABASE=postgres PGUSER=besom

run initdb.log "${as_user[@]}" "$bin/initdb" -D "$PWD/data" -A trust -U besom --no-sync -E UTF8 --locale=C.UTF-8
"${PRELOAD[@]}" "${as_user[@]}" "$bin/postgres" -D "$PWD/data" -k "$PWD" -c listen_addresses= -c fsync=off \
    -c shared_buffers=64MB -c max_parallel_workers_per_gather=2 >server.log 2>&1 &
SERVER=$!
wait_for 'postgres' "$bin/pg_isready"
on_library $SERVER
sql() { "$bin/psql" -XqAt -v ON_ERROR_STOP=1 "$@"; }

run pgbench-init.log "$bin/pgbench" -q -i -s 5
run pgbench.log "$bin/pgbench" -c 8 -j 2 -T 10
grep -q 'number of failed transactions: 0 ' pgbench.log || fail "pgbench: $(grep failed pgbench.log)"
grep -qE 'transactions actually processed: [1-9]' pgbench.log || fail 'pgbench: no transactions'
# Each transaction adds one amount to an account, a teller, a branch and the history.
sums=$(sql -c 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)')
[ "$sums" = t ] || fail 'pgbench: the balances do not add up'

cat >queries.sql <<'SQL'
CREATE TABLE n AS SELECT i, md5(i::text) AS s, repeat('x', i % 500) AS r, jsonb_build_object('k', i, 'l', array[i, i + 1]) AS j
    FROM generate_series(1, 100000) AS i;
SELECT count(*), max(s) FROM n;
SELECT length(string_agg(s, ',' ORDER BY r, s)), md5(string_agg(s, ',' ORDER BY r, i)) FROM n;
SELECT a.i % 7, count(*), sum(b.i) FROM n a JOIN n b ON a.s = md5((b.i + 1)::text) GROUP BY 1 ORDER BY 1;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT sum(length(r)), count(DISTINCT j -> 'l' ->> 0) FROM n WHERE s ~ '[0-9]{5}' OR j @> '{"k": 77}';
SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0;
SELECT sum(i * 2 + length(s) - (i % 13)), avg(i % 17)::numeric(10, 4) FROM n WHERE i % 3 = 1 AND s > '2';
CREATE INDEX ON n USING gin (j); CREATE INDEX ON n (s, i);
DO $$ BEGIN FOR k IN 1..5000 LOOP BEGIN PERFORM 1 / (k % 2); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
VACUUM FULL ANALYZE n;
SQL
sql -f queries.sql >queries.out 2>psql.log || fail "queries: $(tail -n 1 psql.log)"
[ "$(sed -n 1p queries.out)" = '100000|ffffb32b6ef4b43d3c18e2b7ed7a2f58' ] || [ "$(sed -n 1p queries.out | cut -d'|' -f1)" = 100000 ] ||
    fail "queries: $(sed -n 1p queries.out)"
sha256sum <queries.out >queries.sum

run dump.log "$bin/pg_dump" -t n -f dump.sql
sql -c 'CREATE DATABASE copy' && PGDATABASE=copy sql -f dump.sql >/dev/null
[ "$(sql -c 'SELECT md5(string_agg(n::text, NULL ORDER BY i)) FROM n')" = \
    "$(PGDATABASE=copy sql -c 'SELECT md5(string_agg(n::text, NULL ORDER BY i)) FROM n')" ] || fail 'the restored table differs'
# A backend that crashes takes the others down, and the server says so.
! grep -E 'terminated by signal|PANIC|FATAL:  the database system is in recovery' server.log >&2 || fail 'a backend crashed'
stop_and_check
