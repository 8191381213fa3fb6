--
-- COPY with on_conflict: formats, options, lists, the setting, the tag, and
-- COPY without our options, which is left alone.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_copy.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE item (id int PRIMARY KEY, code text UNIQUE, name text DEFAULT 'none', n int, made date DEFAULT '2001-01-01');
	INSERT INTO item SELECT i, 'c' || i, 'item ' || i, i FROM generate_series(1, 5) AS i;
	CREATE SEQUENCE counter;
$$);

-- A COPY into soft.item against what stands in its place: the input in a table of
-- the same columns, then INSERT ... ON CONFLICT.  Tells the tag's number and the
-- last result.
CREATE FUNCTION compare.copied(copy text, insertion text) RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	n bigint;
	result text;
BEGIN
	EXECUTE format(copy, current_setting('compare.file'));
	GET DIAGNOSTICS n = ROW_COUNT;
	SET LOCAL search_path = twin;
	EXECUTE insertion;
	result := n || ' copied: ' || compare.last_counts('soft.item') || '; ' || compare.verdict(compare.contents_and_sequences('soft') || ARRAY['tables'], compare.contents_and_sequences('twin') || ARRAY['tables']);
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	PERFORM setval('soft.counter', 1, false), setval('twin.counter', 1, false);
	RETURN result;
END
$$;

--
-- The tag counts rows that were read
--
\set QUIET off
BEGIN;
COPY item (id, name) FROM STDIN WITH (on_conflict 'update');
1	one
2	item 2
8	eight
1	one again
\.
SELECT * FROM orm_ext.last_bulk_result();
COPY item (id, name) FROM STDIN WITH (on_conflict 'nothing');
1	x
9	nine
\.
SELECT * FROM orm_ext.last_bulk_result();
COPY item (id, name) FROM STDIN WITH (on_conflict 'update');
\.
SELECT * FROM orm_ext.last_bulk_result();
SELECT * FROM item ORDER BY id;
ROLLBACK;
\set QUIET on

--
-- Formats and their options
--
\set updating 'ON CONFLICT (id) DO UPDATE SET code = excluded.code, name = excluded.name, n = excluded.n, made = excluded.made'
COPY (VALUES (1, 'c1', 'a', 10, '2002-02-02'::date), (2, 'c2', E'tab\t, quote " and \\ back', NULL, NULL), (9, 'c9', '', 9, '2009-09-09'), (8, NULL, NULL, 0, '2008-08-08')) TO :'file';
SELECT compare.copied('COPY item FROM %L WITH (on_conflict ''update'')', format($$INSERT INTO item VALUES (1, 'c1', 'a', 10, '2002-02-02'), (2, 'c2', E'tab\t, quote " and \\ back', NULL, NULL), (9, 'c9', '', 9, '2009-09-09'), (8, NULL, NULL, 0, '2008-08-08') %s$$, :'updating'));
SELECT compare.copied('COPY item (id, code, name, n, made) FROM %L WITH (FORMAT text, on_conflict ''nothing'')', $$INSERT INTO item VALUES (9, 'c9', '', 9, '2009-09-09'), (8, NULL, NULL, 0, '2008-08-08')$$);
SELECT compare.copied('COPY item FROM PROGRAM ''cat %s'' WITH (on_conflict ''update'')', format($$INSERT INTO item VALUES (1, 'c1', 'a', 10, '2002-02-02'), (2, 'c2', E'tab\t, quote " and \\ back', NULL, NULL), (9, 'c9', '', 9, '2009-09-09'), (8, NULL, NULL, 0, '2008-08-08') %s$$, :'updating'));
COPY (VALUES (1, 'c1', 'a|b', 10, '2002-02-02'::date), (2, 'c2', E'line\nline', NULL, NULL)) TO :'file' WITH (DELIMITER '|', NULL 'none');
SELECT compare.copied('COPY item FROM %L WITH (on_conflict ''update'', DELIMITER ''|'', NULL ''none'')', format($$INSERT INTO item VALUES (1, 'c1', 'a|b', 10, '2002-02-02'), (2, 'c2', E'line\nline', NULL, NULL) %s$$, :'updating'));
COPY (VALUES (1, 'c1', 'a;"b"', 10, '2002-02-02'::date), (2, 'c2', E'line\n''line''', NULL, NULL), (9, 'c9', '', 1, NULL)) TO :'file' WITH (FORMAT csv, HEADER, DELIMITER ';', QUOTE '''', ESCAPE '\', NULL '-', FORCE_QUOTE *);
SELECT compare.copied('COPY item FROM %L WITH (FORMAT csv, HEADER, DELIMITER '';'', QUOTE '''''''', ESCAPE ''\'', NULL ''-'', on_conflict ''update'')', format($$INSERT INTO item VALUES (1, 'c1', 'a;"b"', 10, '2002-02-02'), (2, 'c2', E'line\n''line''', NULL, NULL), (9, 'c9', '', 1, NULL) %s$$, :'updating'));
COPY (VALUES (1, '', 'x'), (9, 'c9', NULL), (2, NULL, '')) TO :'file' WITH (FORMAT csv, FORCE_QUOTE (column2));
SELECT compare.copied('COPY item (id, code, name) FROM %L WITH (FORMAT csv, FORCE_NULL (code), FORCE_NOT_NULL (name), on_conflict ''update'')', $$INSERT INTO item (id, code, name) VALUES (1, NULL, 'x'), (9, 'c9', ''), (2, NULL, '') ON CONFLICT (id) DO UPDATE SET code = excluded.code, name = excluded.name$$);
COPY (SELECT id, name FROM (VALUES (1, 'a'), (9, 'b')) AS v (id, name)) TO :'file' WITH (FORMAT csv, HEADER);
SELECT compare.copied('COPY item (id, name) FROM %L WITH (FORMAT csv, HEADER MATCH, on_conflict ''update'')', $$INSERT INTO item (id, name) VALUES (1, 'a'), (9, 'b') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.failure(format('COPY item (id, code) FROM %L WITH (FORMAT csv, HEADER MATCH, on_conflict ''update'')', :'file'));
COPY (VALUES (1, 'a'), (9, NULL)) TO :'file' WITH (FORMAT binary);
SELECT compare.copied('COPY item (id, name) FROM %L WITH (FORMAT binary, on_conflict ''update'')', $$INSERT INTO item (id, name) VALUES (1, 'a'), (9, NULL) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (id, name) FROM %L WITH (on_conflict ''update'', FORMAT ''binary'')', $$INSERT INTO item (id, name) VALUES (1, 'a'), (9, NULL) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
COPY (VALUES (1, 'é'), (9, 'ü')) TO :'file' WITH (ENCODING 'LATIN1');
SELECT compare.copied('COPY item (id, name) FROM %L WITH (ENCODING ''LATIN1'', on_conflict ''update'')', $$INSERT INTO item (id, name) VALUES (1, 'é'), (9, 'ü') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);

--
-- Column list, WHERE, update_columns, conflict_columns
--
COPY (VALUES ('x', 1), ('y', 2), ('z', 9)) TO :'file';
SELECT compare.copied('COPY item (name, id) FROM %L WITH (on_conflict ''update'')', $$INSERT INTO item (name, id) VALUES ('x', 1), ('y', 2), ('z', 9) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (name, id) FROM %L WITH (on_conflict ''update'') WHERE id > 1 AND name <> ''q''', $$INSERT INTO item (name, id) VALUES ('y', 2), ('z', 9) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (name, id) FROM %L WITH (on_conflict ''update'') WHERE false', $$SELECT 1$$);
-- which can look at what is copied
SELECT compare.failure(format('COPY item (name, id) FROM %L WITH (on_conflict ''update'') WHERE code IS NULL', :'file'));
SELECT compare.failure(format('COPY item (name, n) FROM %L WITH (on_conflict ''update'')', :'file'));
COPY (VALUES (21, 'c1', 'x', 7), (22, 'c2', 'y', 8), (23, 'c9', 'z', 9)) TO :'file';
SELECT compare.copied('COPY item (id, code, name, n) FROM %L WITH (on_conflict ''update'', conflict_columns (code), update_columns (name))', $$INSERT INTO item (id, code, name, n) VALUES (21, 'c1', 'x', 7), (22, 'c2', 'y', 8), (23, 'c9', 'z', 9) ON CONFLICT (code) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (id, code, name, n) FROM %L WITH (conflict_columns ''code'', update_columns ''name, n'')', $$INSERT INTO item (id, code, name, n) VALUES (21, 'c1', 'x', 7), (22, 'c2', 'y', 8), (23, 'c9', 'z', 9) ON CONFLICT (code) DO UPDATE SET name = excluded.name, n = excluded.n$$);
SELECT compare.copied('COPY item (id, code, name, n) FROM %L WITH (conflict_columns (code))', $$INSERT INTO item (id, code, name, n) VALUES (21, 'c1', 'x', 7), (22, 'c2', 'y', 8), (23, 'c9', 'z', 9) ON CONFLICT (code) DO UPDATE SET id = excluded.id, name = excluded.name, n = excluded.n$$);
SELECT compare.copied('COPY item (id, code, name, n) FROM %L WITH (conflict_columns (item_code_key), update_columns (n))', $$INSERT INTO item (id, code, name, n) VALUES (21, 'c1', 'x', 7), (22, 'c2', 'y', 8), (23, 'c9', 'z', 9) ON CONFLICT (code) DO UPDATE SET n = excluded.n$$);
SELECT compare.copied('COPY item (id, code, name, n) FROM %L WITH (conflict_columns code, on_conflict nothing)', $$INSERT INTO item (id, code, name, n) VALUES (23, 'c9', 'z', 9)$$);

--
-- The other options
--
COPY (VALUES (1, 'x', 1), (9, 'y', 1), (1, 'z', 1), (9, 'w', 1)) TO :'file';
SELECT compare.copied('COPY item (id, name, n) FROM %L WITH (on_duplicate ''last'')', $$INSERT INTO item (id, name, n) VALUES (1, 'z', 1), (9, 'w', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (id, name, n) FROM %L WITH (on_duplicate ''first'')', $$INSERT INTO item (id, name, n) VALUES (1, 'x', 1), (9, 'y', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.failure(format('COPY item (id, name, n) FROM %L WITH (on_duplicate ''error'')', :'file'));
COPY (VALUES (1, 'x', 1), (2, 'y', 9), (9, 'z', 1)) TO :'file';
SELECT compare.copied('COPY item (id, name, n) FROM %L WITH (version_column n)', $$INSERT INTO item (id, name, n) VALUES (1, 'x', 1), (9, 'z', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n + 1$$);
SELECT compare.copied('COPY item (id, name, n) FROM %L WITH (version_column ''n'', on_duplicate ''first'', on_deleted ''skip'', on_conflict ''update'')', $$INSERT INTO item (id, name, n) VALUES (1, 'x', 1), (9, 'z', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n + 1$$);

--
-- Unchanged rows, sequences, generated columns
--
COPY item TO :'file';
SELECT compare.copied('COPY item FROM %L WITH (on_conflict ''update'')', 'SELECT 1');
CALL compare.in_both($$ALTER TABLE item ADD s int DEFAULT nextval('counter'), ADD twice int GENERATED ALWAYS AS (n * 2) STORED; SELECT setval('counter', 1, false)$$);
COPY (VALUES (1, 'x'), (2, 'item 2'), (8, 'y'), (9, 'z')) TO :'file';
SELECT compare.copied('COPY item (id, name) FROM %L WITH (on_conflict ''update'')', $$UPDATE item SET name = 'x' WHERE id = 1; INSERT INTO item (id, name) VALUES (8, 'y'), (9, 'z')$$);
-- also where WHERE looks at it
SELECT compare.copied('COPY item (id, name) FROM %L WITH (on_conflict ''update'') WHERE id < 9', $$UPDATE item SET name = 'x' WHERE id = 1; INSERT INTO item (id, name) VALUES (8, 'y')$$);
SELECT compare.failure(format('COPY item (id, twice) FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY item (id, twice) FROM %L', :'file'));

--
-- The setting
--
CALL compare.in_both('ALTER TABLE item DROP s; CREATE TABLE keyless (a int, b text)');
COPY (VALUES (1, 'x'), (9, 'y')) TO :'file';
SHOW orm_ext.copy_on_conflict;
\set VERBOSITY terse
COPY item (id, name) FROM :'file';
SET orm_ext.copy_on_conflict = 'update';
SELECT compare.copied('COPY item (id, name) FROM %L', $$INSERT INTO item (id, name) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (id, name) FROM %L WITH (FORMAT text)', $$INSERT INTO item (id, name) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
-- options of the statement come first
SELECT compare.copied('COPY item (id, name) FROM %L WITH (on_conflict ''nothing'')', $$INSERT INTO item (id, name) VALUES (9, 'y')$$);
SELECT compare.copied('COPY item (id, name) FROM %L WITH (on_duplicate ''first'')', $$INSERT INTO item (id, name) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SET orm_ext.copy_on_conflict = 'nothing';
SELECT compare.copied('COPY item (id, name) FROM %L', $$INSERT INTO item (id, name) VALUES (9, 'y')$$);
-- as for what an option does not say
SELECT compare.copied('COPY item (id, name) FROM %L WITH (on_duplicate ''first'')', $$INSERT INTO item (id, name) VALUES (9, 'y')$$);
BEGIN;
SET LOCAL orm_ext.copy_on_conflict = 'update';
COPY item (id, name) FROM :'file';
SELECT id, name FROM item WHERE id IN (1, 9) ORDER BY id;
ROLLBACK;
-- columns of another key than the primary one
COPY (VALUES (21, 'c1', 'x'), (23, 'c9', 'z')) TO :'file';
SET orm_ext.copy_on_conflict = 'update';
SET orm_ext.copy_conflict_columns = 'code';
SELECT compare.copied('COPY item (id, code, name) FROM %L', $$INSERT INTO item (id, code, name) VALUES (21, 'c1', 'x'), (23, 'c9', 'z') ON CONFLICT (code) DO UPDATE SET id = excluded.id, name = excluded.name$$);
SELECT compare.copied('COPY item (id, code, name) FROM %L WITH (update_columns (name))', $$INSERT INTO item (id, code, name) VALUES (21, 'c1', 'x'), (23, 'c9', 'z') ON CONFLICT (code) DO UPDATE SET name = excluded.name$$);
COPY item (id, code, name) FROM :'file' WITH (conflict_columns (id));
SET orm_ext.copy_conflict_columns = 'item_code_key';
SELECT compare.copied('COPY item (id, code, name) FROM %L', $$INSERT INTO item (id, code, name) VALUES (21, 'c1', 'x'), (23, 'c9', 'z') ON CONFLICT (code) DO UPDATE SET id = excluded.id, name = excluded.name$$);
RESET orm_ext.copy_conflict_columns;
COPY (VALUES (1, 'x'), (9, 'y')) TO :'file';
SET orm_ext.copy_on_conflict = 'nothing';
-- COPY TO, COPY into what is no table, and a table without a key
COPY keyless FROM :'file';
SELECT * FROM keyless ORDER BY a;
COPY (SELECT 1) TO STDOUT;
COPY keyless TO STDOUT;
TRUNCATE keyless;
CREATE VIEW items AS SELECT id, name FROM item;
COPY items FROM :'file';
CREATE FUNCTION soft.into_item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'got %', new; RETURN new; END $$;
CREATE TRIGGER into_item INSTEAD OF INSERT ON items FOR EACH ROW EXECUTE FUNCTION soft.into_item();
COPY items FROM :'file';
SET orm_ext.copy_on_conflict = 'always';
SET orm_ext.copy_on_conflict = off;
RESET orm_ext.copy_on_conflict;
\set VERBOSITY default

--
-- Without our options nothing is ours
--
SELECT * FROM orm_ext.bulk_upsert('item', '[{"id": 1, "name": "item 1"}]');
SELECT compare.failure(format('COPY item (id, name) FROM %L', :'file'));
BEGIN;
COPY item (id, name) FROM :'file' WHERE id = 9;
SELECT id, name FROM item WHERE id = 9;
ROLLBACK;
SELECT * FROM orm_ext.last_bulk_result();
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (no_such_option ''x'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (FORMAT nope)', :'file'));
SELECT compare.failure(format('COPY items TO %L WITH (FORMAT csv, FORCE_NULL (id))', :'file'));

--
-- What is refused
--
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''replace'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'', on_conflict ''nothing'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'', no_such_option ''x'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'', FORMAT nope)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'', FREEZE)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'', FREEZE false, DELIMITER ''xx'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_duplicate ''none'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_deleted 7)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (conflict_columns (nope))', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (conflict_columns (name))', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (conflict_columns ''id,'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (conflict_columns *)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (update_columns (nope))', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (version_column nope)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (version_column (n, id))', :'file'));
SELECT compare.failure(format('COPY item (id, nope) FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY item (id, id) FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'') WHERE nope', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'') WHERE id IN (SELECT 1)', :'file'));
SELECT compare.failure(format('COPY item (id, name) FROM %L WITH (on_conflict ''update'')', '/nowhere/at/all'));
SELECT compare.failure('COPY item (id, name) FROM ''relative'' WITH (on_conflict ''update'')');
SELECT compare.failure(format('COPY nothing FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY items FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY keyless FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY item (id, name) TO %L WITH (on_conflict ''update'')', :'file'));
SELECT compare.failure(format('COPY (SELECT 1) TO %L WITH (on_duplicate ''last'')', :'file'));
-- old spellings of COPY
COPY (VALUES (1, 'x'), (9, 'y')) TO :'file' CSV;
SET orm_ext.copy_on_conflict = 'update';
SELECT compare.copied('COPY item (id, name) FROM %L CSV', $$INSERT INTO item (id, name) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.copied('COPY item (id, name) FROM %L WITH DELIMITER '','' NULL ''x''', $$INSERT INTO item (id, name) VALUES (1, NULL), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.failure(format('COPY item (id, name) FROM %L CSV FREEZE', :'file'));
RESET orm_ext.copy_on_conflict;

--
-- Partitions, names that must be quoted, many rows
--
CALL compare.in_both($$
	DROP TABLE item CASCADE;
	CREATE TABLE item (id int, "Kind of" text, n int, PRIMARY KEY (id, "Kind of")) PARTITION BY LIST ("Kind of");
	CREATE TABLE item_a PARTITION OF item FOR VALUES IN ('a');
	CREATE TABLE item_b (n int, "Kind of" text NOT NULL, id int NOT NULL);
	ALTER TABLE item ATTACH PARTITION item_b FOR VALUES IN ('b');
	INSERT INTO item SELECT i, chr(97 + i % 2), i FROM generate_series(1, 10) AS i;
$$);
COPY (SELECT i, chr(97 + i % 2), 0 FROM generate_series(5, 15) AS i) TO :'file';
SELECT compare.copied('COPY item FROM %L WITH (on_conflict ''update'', conflict_columns ("Kind of", id))', $$INSERT INTO item SELECT i, chr(97 + i % 2), 0 FROM generate_series(5, 15) AS i ON CONFLICT ("Kind of", id) DO UPDATE SET n = excluded.n$$);
SELECT compare.copied('COPY item FROM %L WITH (on_conflict ''update'', conflict_columns ''"Kind of", id'', update_columns ''n'')', $$INSERT INTO item SELECT i, chr(97 + i % 2), 0 FROM generate_series(5, 15) AS i ON CONFLICT ("Kind of", id) DO UPDATE SET n = excluded.n$$);
COPY (SELECT 0, 'b', i FROM generate_series(5, 15, 2) AS i) TO :'file';
BEGIN;
COPY item_b FROM :'file' WITH (on_conflict 'update');
SELECT * FROM orm_ext.last_bulk_result();
ROLLBACK;
COPY (SELECT i * 7919 % 20011, 'a', i FROM generate_series(1, 20000) AS i) TO :'file';
SET work_mem = '64kB';
SELECT compare.copied('COPY item FROM %L WITH (on_conflict ''update'')', $$INSERT INTO item SELECT i * 7919 % 20011, 'a', i FROM generate_series(1, 20000) AS i ON CONFLICT (id, "Kind of") DO UPDATE SET n = excluded.n$$);
RESET work_mem;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP FUNCTION compare.copied;
