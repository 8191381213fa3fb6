--
-- Bulk upsert and what is new in PostgreSQL 18: generated columns that are not
-- stored, keys without overlaps, and COPY's REJECT_LIMIT.
--
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk18.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE item (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, thrice int GENERATED ALWAYS AS (a * 3) STORED, name text);
	INSERT INTO item (id, a, name) SELECT i, i, 'item ' || i FROM generate_series(1, 4) AS i;
$$);

-- computed when read, never given
CALL compare.bulk('item', '[{"id": 1, "a": 10}, {"id": 2, "a": 2}, {"id": 9, "a": 90}]');
CALL compare.bulk('item', '[{"id": 1, "a": 10, "name": "x"}, {"id": 2, "a": 2, "name": "item 2"}, {"id": 9, "a": 90, "name": null}]');
BEGIN;
SELECT ordinal, action, (result).* FROM orm_ext.bulk_upsert_returning(NULL::item, '[{"id": 1, "a": 10}, {"id": 2, "name": "item 2"}, {"id": 9, "a": 90}]');
SELECT * FROM item ORDER BY id;
ROLLBACK;
BEGIN;
SELECT * FROM orm_ext.bulk_upsert((SELECT array_agg(i) FROM item AS i));
SELECT ordinal, action, (result).twice FROM orm_ext.bulk_upsert_returning((SELECT array_agg((id, a + 1, twice, thrice, name)::item ORDER BY id) FROM item));
ROLLBACK;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('item', '[{"id": 1, "twice": 10}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('item', '[{"id": 1, "a": 10}]', '{twice}')$$);
-- in partitions they may differ
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (b int GENERATED ALWAYS AS (a + 100) VIRTUAL, a int, kind text NOT NULL, id int NOT NULL);
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	INSERT INTO event VALUES (1, 'a', 1), (2, 'b', 2);
$$);
CALL compare.bulk('event', '[{"id": 1, "kind": "a", "a": 10}, {"id": 2, "kind": "b", "a": 2}, {"id": 3, "kind": "b", "a": 3}]');

-- a key without overlaps cannot decide
CREATE TABLE booking (room int4range, during daterange, n int, PRIMARY KEY (room, during WITHOUT OVERLAPS));
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('booking', '[{"room": "[1,1]", "during": "[2001-01-01,2001-02-01)"}]')$$);
SELECT * FROM compare.failure($$INSERT INTO booking VALUES ('[1,1]', '[2001-01-01,2001-02-01)') ON CONFLICT (room, during) DO UPDATE SET n = 1$$);

-- NOT NULL constraints with a name
CALL compare.in_both('CREATE TABLE named (id int PRIMARY KEY, a int CONSTRAINT there NOT NULL); INSERT INTO named VALUES (1, 1)');
CALL compare.bulk('named', '[{"id": 1, "a": null}]');
CALL compare.bulk('named', '[{"id": 1}, {"id": 2}]');

-- REJECT_LIMIT
\set VERBOSITY terse
COPY item (id, a) FROM STDIN WITH (on_conflict 'update', ON_ERROR ignore, REJECT_LIMIT 1);
one	10
two	20
9	9
\.
BEGIN;
COPY item (id, a) FROM STDIN WITH (on_conflict 'update', ON_ERROR ignore, REJECT_LIMIT 2, LOG_VERBOSITY silent);
one	10
two	20
1	11
9	9
\.
SELECT * FROM orm_ext.last_bulk_result();
SELECT * FROM item WHERE id IN (1, 9) ORDER BY id;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
