-- Bulk load and queries in memory.
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price REAL, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
INSERT INTO item SELECT i, i * 7919 % 997, 'item ' || i, i * 1.5, substr(hex(i * 104729), 1, i % 12) || printf('%d-%s', i, 'note') FROM n;
COMMIT;
CREATE INDEX item_kind ON item(kind);
CREATE INDEX item_name ON item(name);
CREATE TABLE sale AS SELECT id * 3 % 50000 + 1 AS item, id % 365 AS day, id % 7 AS amount FROM item;
CREATE INDEX sale_item ON sale(item);
SELECT kind, count(*), sum(price), group_concat(substr(note, 1, 4)) FROM item GROUP BY kind ORDER BY 3 DESC LIMIT 3;
SELECT sum(length(a.name || b.day)) FROM item a JOIN sale b ON a.id = b.item WHERE a.kind < 400;
SELECT count(DISTINCT upper(note)) FROM item;
UPDATE item SET note = note || ' changed ' || kind WHERE kind % 3 = 0;
DELETE FROM item WHERE kind % 5 = 0;
SELECT count(*), max(length(json_object('name', name, 'note', note))) FROM item;
