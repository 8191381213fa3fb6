--
-- Bulk upsert into partitioned tables and those that inherit.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_partitions.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on

--
-- Partitions of several shapes and depths
--
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, n int DEFAULT 7, note text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (note text, extra int, n int DEFAULT 70, kind text NOT NULL, id int NOT NULL);
	ALTER TABLE event_b DROP COLUMN extra;
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	CREATE TABLE event_c PARTITION OF event FOR VALUES IN ('c', 'd') PARTITION BY RANGE (id);
	CREATE TABLE event_c_low PARTITION OF event_c FOR VALUES FROM (MINVALUE) TO (10);
	CREATE TABLE event_c_high (kind text NOT NULL, note text, id int NOT NULL, n int);
	ALTER TABLE event_c ATTACH PARTITION event_c_high FOR VALUES FROM (10) TO (100);
	INSERT INTO event SELECT i, chr(97 + i % 4), i, 'note ' || i FROM generate_series(1, 20) AS i;
$$);
CALL compare.bulk('event', '[{"id": 1, "kind": "b", "n": 10}, {"id": 4, "kind": "a", "n": 4}, {"id": 2, "kind": "c", "n": 20}, {"id": 18, "kind": "c", "n": 30}, {"id": 21, "kind": "a"}, {"id": 22, "kind": "b"}, {"id": 23, "kind": "c"}, {"id": 5, "kind": "d", "note": "x"}]');
CALL compare.bulk('event', '[{"id": 1, "kind": "b", "n": 10, "note": "x"}, {"id": 4, "kind": "a", "n": 4, "note": "note 4"}, {"id": 2, "kind": "c", "n": 20, "note": null}, {"id": 18, "kind": "c", "n": 30, "note": "x"}, {"id": 21, "kind": "a", "n": null, "note": "y"}, {"id": 18, "kind": "c", "n": 31, "note": "z"}]');
CALL compare.bulk('event', '[{"id": 1, "kind": "b", "n": 10, "note": "x"}, {"id": 40, "kind": "a", "n": 4, "note": "note 4"}]', '{"on_conflict": "nothing"}');
-- an id in another partition is another row
CALL compare.bulk('event', '[{"id": 1, "kind": "a", "n": 10}, {"id": 1, "kind": "b", "n": 11}, {"id": 1, "kind": "c", "n": 12}]', '{"conflict": ["kind", "id"]}');
CALL compare.bulk('event', '[{"id": 1, "kind": "b", "n": 10}, {"id": 1, "kind": "z", "n": 11}]');
CALL compare.bulk('event', '[{"id": 100, "kind": "c", "n": 10}]');
CALL compare.bulk('event', '[{"id": 100, "n": 10}]');
BEGIN;
SELECT ordinal, action, result, (result).note FROM orm_ext.bulk_upsert_returning(NULL::event, '[{"id": 1, "kind": "b", "n": 10}, {"id": 22, "kind": "b", "note": "new"}, {"id": 3, "kind": "d"}, {"id": 18, "kind": "c", "note": "there"}]');
SELECT tableoid::regclass, * FROM event WHERE id IN (1, 22, 3, 18) ORDER BY id;
ROLLBACK;

-- one partition by itself
CALL compare.bulk('event_b', '[{"id": 1, "kind": "b", "n": 10}, {"id": 33, "kind": "b"}, {"id": 5, "kind": "b", "n": 5, "note": "note 5"}]');
CALL compare.bulk('event_b', '[{"id": 1, "kind": "b", "n": 10, "note": "x"}, {"id": 5, "kind": "b", "n": 5, "note": "note 5"}]');
CALL compare.bulk('event_b', '[{"id": 1, "kind": "a", "n": 10}]');
CALL compare.bulk('event_c', '[{"id": 2, "kind": "c", "n": 10}, {"id": 31, "kind": "d"}, {"id": 18, "kind": "c", "n": 1}]');
CALL compare.bulk('event_c', '[{"id": 2, "kind": "a", "n": 10}]');

-- keys by name, partial and of expressions
CALL compare.in_both($$
	CREATE UNIQUE INDEX event_note ON event (kind, lower(note), id) WHERE n IS NOT NULL;
	CREATE UNIQUE INDEX event_a_only ON event_a (n);
$$);
CALL compare.bulk('event', '[{"id": 1, "kind": "b", "note": "NOTE 1", "n": 77}, {"id": 51, "kind": "b", "note": "other", "n": 78}, {"id": 52, "kind": "b", "note": "NOTE 1", "n": null}]', '{"conflict": ["event_note"], "update_columns": ["n"]}', 't.id = r.id AND t.kind = r.kind AND lower(t.note) = lower(r.note) AND t.n IS NOT NULL AND r.n IS NOT NULL');
CALL compare.bulk('event', '[{"id": 4, "kind": "a", "n": 8}]');
CALL compare.bulk('event_a', '[{"id": 60, "kind": "a", "n": 8, "note": "x"}]', '{"conflict": ["n"], "update_columns": ["note"]}');
SELECT * FROM compare.refusal($$SELECT orm_ext.bulk_upsert('event', '{"id": 4, "kind": "a", "n": 8}', '{n}')$$);
SELECT * FROM compare.refusal($$SELECT orm_ext.bulk_upsert('event', '{"id": 4, "kind": "a", "n": 8}', '{event_a_only}')$$);
SELECT * FROM compare.refusal($$SELECT orm_ext.bulk_upsert('event', '{"id": 4, "kind": "a", "n": 8}', '{event_b_pkey}')$$);

-- attached and detached under way: the same session sees it at once
PREPARE put(jsonb) AS SELECT ordinal, action, (result).n FROM orm_ext.bulk_upsert_returning(NULL::event, $1);
EXECUTE put('[{"id": 1, "kind": "b"}, {"id": 100, "kind": "b", "n": 1}]');
ALTER TABLE event DETACH PARTITION event_b;
\set VERBOSITY terse
EXECUTE put('[{"id": 1, "kind": "b"}, {"id": 100, "kind": "b", "n": 1}]');
\set VERBOSITY default
SELECT compare.failure($$SELECT orm_ext.bulk_upsert('soft.event', '[{"id": 4, "kind": "a"}, {"id": 1, "kind": "b"}]')$$);
CREATE TABLE event_other PARTITION OF event DEFAULT;
EXECUTE put('[{"id": 1, "kind": "b"}, {"id": 200, "kind": "z", "n": 1}]');
SELECT * FROM orm_ext.bulk_upsert('event_b', '[{"id": 1, "kind": "z", "n": 10}]');
DELETE FROM event_other WHERE kind = 'b';
DELETE FROM event_b WHERE kind <> 'b';
ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
EXECUTE put('[{"id": 1, "kind": "b"}, {"id": 200, "kind": "z", "n": 1}]');
SELECT tableoid::regclass, id, n FROM event WHERE id IN (1, 200) ORDER BY id, tableoid::regclass::text;
ALTER TABLE event ADD late int DEFAULT 3;
EXECUTE put('[{"id": 1, "kind": "b", "late": 4}, {"id": 300, "kind": "b", "n": 1}]');
SELECT tableoid::regclass, id, late FROM event WHERE id IN (1, 300) ORDER BY id;
DEALLOCATE put;
CALL compare.in_both('DROP TABLE event');

-- a partition key of an expression has no unique key; hash and several columns do
CALL compare.in_both($$
	CREATE TABLE hashed (a int, b text, n int, PRIMARY KEY (b, a)) PARTITION BY HASH (a, b);
	CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (modulus 3, remainder 0);
	CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (modulus 3, remainder 1);
	CREATE TABLE hashed_2 PARTITION OF hashed FOR VALUES WITH (modulus 3, remainder 2);
	INSERT INTO hashed SELECT i, 'b' || i, i FROM generate_series(1, 20) AS i;
$$);
SELECT (SELECT jsonb_agg(jsonb_build_object('a', i, 'b', 'b' || i, 'n', i + i % 2)) FROM generate_series(10, 30) AS i) AS rows \gset
CALL compare.bulk('hashed', :'rows');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('hashed', (SELECT jsonb_agg(jsonb_build_object('a', i, 'b', 'b' || i, 'n', 0)) FROM generate_series(1, 3000) AS i))$$,
					 $$INSERT INTO hashed SELECT i, 'b' || i, 0 FROM generate_series(1, 3000) AS i ON CONFLICT (a, b) DO UPDATE SET n = excluded.n$$);

-- no partition at all
CALL compare.in_both('CREATE TABLE hollow (a int PRIMARY KEY, n int) PARTITION BY RANGE (a)');
CALL compare.bulk('hollow', '[{"a": 1, "n": 10}]');
CALL compare.bulk('hollow', '[]');

-- identity and sequences of the whole; defaults of the whole, not of the partition
CALL compare.in_both($$
	CREATE TABLE numbered (id serial, kind text, n int DEFAULT 1, PRIMARY KEY (id, kind), UNIQUE (kind, n)) PARTITION BY LIST (kind);
	CREATE TABLE numbered_a PARTITION OF numbered (n DEFAULT 5) FOR VALUES IN ('a');
	INSERT INTO numbered (kind, n) VALUES ('a', 10), ('a', 11);
$$);
CALL compare.bulk('numbered', '[{"kind": "a", "n": 10}, {"kind": "a", "n": 12}, {"kind": "a", "n": 13}]', '{"conflict": ["kind", "n"]}');
CALL compare.bulk('numbered', '[{"kind": "a"}]', '{"conflict": ["id", "kind"]}');
CALL compare.bulk('numbered_a', '[{"kind": "a"}]', '{"conflict": ["id", "kind"]}');

--
-- Inheritance: rows of children are not the table's own to a unique key
--
CALL compare.in_both($$
	CREATE TABLE base (id int PRIMARY KEY, n int);
	CREATE TABLE derived (more text, UNIQUE (id)) INHERITS (base);
	INSERT INTO base VALUES (1, 1), (2, 2);
	INSERT INTO derived VALUES (2, 20, 'x'), (3, 30, 'y');
$$);
CALL compare.bulk('base', '[{"id": 1, "n": 5}, {"id": 4, "n": 5}]');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('base', '[{"id": 2, "n": 5}, {"id": 3, "n": 6}]')$$,
					 $$INSERT INTO base VALUES (2, 5), (3, 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
CALL compare.bulk('derived', '[{"id": 1, "n": 5}, {"id": 3, "n": 6, "more": "z"}]', '{"conflict": ["id"]}');
CALL compare.bulk('derived', '[{"id": 1, "n": 5, "more": "a"}, {"id": 3, "n": 6, "more": "z"}, {"id": 2, "n": 20, "more": "x"}]', '{"conflict": ["id"]}');
SELECT * FROM compare.refusal($$SELECT orm_ext.bulk_upsert('derived', '[{"id": 1, "n": 5}]')$$);
-- and a typed table
CALL compare.in_both($$
	CREATE TYPE shape AS (id int, n int);
	CREATE TABLE typed OF shape (PRIMARY KEY (id), n DEFAULT 3);
	INSERT INTO typed VALUES (1, 1);
$$);
CALL compare.bulk('typed', '[{"id": 1, "n": 5}, {"id": 4, "n": 5}]');
CALL compare.bulk('typed', '[{"id": 1}, {"id": 4}]');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
