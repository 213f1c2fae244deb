#!/bin/bash
set -eu
# The generator's multiplier is prime to the modulus, so that the keys of `a` are a permutation.
cat >load.sql <<'SQL'
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -16000;
CREATE TABLE a (id INTEGER PRIMARY KEY, k INTEGER, s TEXT, b BLOB);
CREATE TABLE b (k INTEGER, v REAL, FOREIGN KEY (k) REFERENCES a (id));
BEGIN;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO a SELECT i, i * 7919 % 200003, printf('%d-%s', i, hex(i * 31)), zeroblob(i % 50) FROM n;
INSERT INTO b SELECT k, id * 0.5 FROM a WHERE id % 2 = 0;
COMMIT;
CREATE UNIQUE INDEX a_k ON a (k);
CREATE INDEX a_s ON a (s COLLATE NOCASE, length(b));
CREATE INDEX b_k ON b (k, v);
SELECT count(*), sum(k), max(s) FROM a;
SELECT count(*), round(sum(v), 1) FROM a JOIN b ON a.k = b.k WHERE a.s LIKE '%3';
SELECT k % 10 AS g, count(*), sum(length(s)), group_concat(DISTINCT length(b)) FROM a GROUP BY g ORDER BY g LIMIT 3;
SELECT id, sum(k) OVER (ORDER BY id ROWS 1000 PRECEDING) AS w FROM a ORDER BY w DESC LIMIT 5;
CREATE VIRTUAL TABLE f USING fts5 (body);
INSERT INTO f SELECT s || ' ' || hex(id) || ' word' || (id % 100) FROM a WHERE id <= 20000;
SELECT count(*) FROM f WHERE f MATCH 'word42 OR word17';
SELECT json_group_array(json_object('k', k, 's', s)) FROM (SELECT * FROM a ORDER BY k LIMIT 5);
UPDATE a SET s = s || s WHERE id % 5 = 0;
DELETE FROM b WHERE rowid % 3 = 0;
SELECT count(*), total(length(s)) FROM a;
VACUUM;
ANALYZE;
PRAGMA integrity_check;
PRAGMA foreign_key_check;
SQL
sqlite3 -bail test.db <load.sql
sqlite3 test.db .dump | sha256sum
sqlite3 test.db .dump | sqlite3 -bail copy.db
sqlite3 copy.db 'PRAGMA integrity_check; SELECT count(*) FROM a, b WHERE a.k = b.k;'
