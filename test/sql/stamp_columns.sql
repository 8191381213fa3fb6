--
-- What counts as a change: columns of every kind, stored in every way.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'version updated_at';

--
-- Types with and without an equality of their own
--
CREATE DOMAIN word AS text CHECK (value <> 'bad');
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (x int, y json);
CREATE TABLE kinds (
	id int PRIMARY KEY, version int, updated_at timestamptz,
	b boolean, f float8, n numeric, t text, c char(9), v varchar(9), by bytea, j json, jb jsonb, x xml, p point,
	m mood, pr pair, arr int[], parr pair[], r int4range, i interval, w word, ci name
);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
INSERT INTO kinds (id, version, updated_at, b, f, n, t, c, v, by, j, jb, p, m, pr, arr, parr, r, i, w, ci)
	VALUES (1, 5, '2002-01-01 00:00:00Z', true, 0, 1.5, 'one', 'one', 'one', '\x01', '{"a": 1}', '{"a": 1}', '(1,2)',
		'ok', '(1,"[1, 2]")', '{1,2}', '{"(1,1)"}', '[1,3)', '1 day', 'one', 'one');
-- each of them changes
CREATE FUNCTION moved(assignments text[]) RETURNS TABLE (assignment text, changes text) LANGUAGE sql AS $$
	SELECT a, compare.changes('UPDATE kinds SET ' || a) FROM unnest(assignments) AS a
$$;
SELECT * FROM moved(ARRAY['b = false', 'f = 1', 'n = 2', 't = ''two''', 'c = ''two''', 'v = ''two''', 'by = ''\x02''',
	'j = ''{"a": 2}''', 'jb = ''{"a": 2}''', 'p = ''(2,1)''', 'm = ''sad''', 'pr = ''(1,"[2]")''', 'arr = ''{2,1}''',
	'parr = ''{"(1,2)"}''', 'r = ''[1,4)''', 'i = ''2 days''', 'w = ''two''', 'ci = ''two''']);
SELECT * FROM moved(ARRAY['b = NULL', 'f = NULL', 'n = NULL', 't = NULL', 'j = NULL', 'jb = NULL', 'p = NULL', 'pr = NULL', 'arr = NULL', 't = ''''', 'arr[2] = 9', 'pr.x = 9', 'jb = jsonb_set(jb, ''{b}'', ''1'')']);
-- each of them sent as it is stored
SELECT changes, string_agg(assignment, ', ') FROM moved(ARRAY['b = true', 'f = 0', 'n = 1.5', 't = ''one''', 'c = ''one''', 'c = ''one   ''', 'v = ''one''', 'by = ''\x01''',
	'j = ''{"a": 1}''', 'jb = ''{"a": 1}''', 'jb = ''{ "a" : 1 }''', 'p = ''(1,2)''', 'm = ''ok''', 'pr = ''(1,"[1, 2]")''', 'arr = ''{1,2}''',
	'parr = ''{"(1,1)"}''', 'r = ''[1,2]''', 'i = ''1 day''', 'w = ''one''', 'ci = ''one''', 'x = NULL', 'jb = jb || ''{"a": 1}''', 'arr[1] = 1']) GROUP BY changes;
-- a value that is equal and reads otherwise is a change: somebody may see it
SELECT * FROM moved(ARRAY['f = ''-0''', 'n = 1.50', 'j = ''{"a":1}''', 'i = ''24 hours''', 'jb = ''{"a": 1.0}''']);
-- plain PostgreSQL's say
SELECT left(compare.changes('UPDATE kinds SET w = ''bad'''), 5);
DROP FUNCTION moved;
DROP TABLE kinds;

--
-- Columns that came later than the row
--
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, title text, version int, updated_at timestamptz);
	INSERT INTO post VALUES (1, 'one', 5, '2002-01-01 00:00:00Z');
	ALTER TABLE post ADD COLUMN late int, ADD COLUMN late_default int DEFAULT 7, ADD COLUMN late_text text DEFAULT 'x';
	INSERT INTO post VALUES (2, 'two', 5, '2002-01-01 00:00:00Z');
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
SELECT compare.changes('UPDATE post SET title = title');
SELECT compare.changes('UPDATE post SET late = NULL, late_default = 7, late_text = ''x''');
SELECT compare.changes('UPDATE post SET late = 1');
SELECT compare.changes('UPDATE post SET late_default = 8');
SELECT compare.changes('UPDATE post SET late_default = NULL');
SELECT compare.changes('UPDATE post SET late_text = ''y''');
SELECT compare.effect('UPDATE post SET title = ''x'' RETURNING id, title, late, late_default, late_text');
-- the version itself came later
CREATE TABLE old (id int PRIMARY KEY, title text);
INSERT INTO old VALUES (1, 'one');
ALTER TABLE old ADD COLUMN version int, ADD COLUMN lock_version int NOT NULL DEFAULT 0, ADD COLUMN created_at timestamptz, ADD COLUMN updated_at timestamptz DEFAULT '2002-01-01 00:00:00Z';
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON old FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=lock_version', 'created=created_at', 'updated=updated_at');
SELECT compare.changes('UPDATE old SET title = title');
SELECT compare.changes('UPDATE old SET title = ''x''');
SELECT compare.changes('UPDATE old SET title = ''x'', lock_version = 1 WHERE lock_version = 0');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON old FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT compare.changes('UPDATE old SET title = ''x''');
SELECT compare.changes('INSERT INTO old VALUES (2, ''two'')');
DROP TABLE old;

--
-- Dropped columns, before and behind the stamps
--
CALL compare.in_both($$
	ALTER TABLE post DROP COLUMN late;
	ALTER TABLE post ADD COLUMN last int;
	ALTER TABLE post DROP COLUMN late_default;
$$);
SELECT compare.changes('UPDATE post SET title = title');
SELECT compare.changes('UPDATE post SET last = 1');
SELECT compare.effect('UPDATE post SET last = 1 RETURNING id, title, late_text, last');
SELECT compare.changes('UPDATE post SET last = 1, version = 6');

--
-- Generated columns: computed after the stamps, and no change by themselves
--
CALL compare.in_both($$
	CREATE TABLE calc (
		id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, version int,
		label text GENERATED ALWAYS AS ('v' || version) STORED, updated_at timestamp,
		year numeric GENERATED ALWAYS AS (extract(year FROM updated_at)) STORED
	);
	INSERT INTO calc (id, a, version, updated_at) VALUES (1, 1, 5, '2002-01-01 00:00:00');
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON calc FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
SET compare.left_out = 'version updated_at label year';
SELECT compare.changes('UPDATE calc SET a = a');
SELECT compare.changes('UPDATE calc SET a = 1, twice = DEFAULT');
SELECT replace(compare.changes('UPDATE calc SET a = 2'), extract(year FROM localtimestamp)::text, 'this year');
SELECT compare.effect('UPDATE calc SET a = 2 RETURNING id, a, twice');
SELECT compare.changes('UPDATE calc SET a = 2, version = 6, updated_at = ''2005-01-01 00:00:00'' RETURNING label, year');
SELECT replace(compare.changes('INSERT INTO calc (id, a) VALUES (2, 2)'), extract(year FROM localtimestamp)::text, 'this year');

-- one that is computed from an ignored column is ignored with it
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON calc FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=a');
SELECT compare.changes('UPDATE calc SET a = 2');

--
-- Identity columns and defaults
--
CALL compare.in_both($$
	CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int DEFAULT 3, version int DEFAULT 10, updated_at timestamptz DEFAULT '2002-01-01 00:00:00Z');
	INSERT INTO ident DEFAULT VALUES;
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON ident FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
SELECT compare.changes('UPDATE ident SET a = DEFAULT');
SELECT compare.changes('UPDATE ident SET a = 4');
SELECT compare.effect('UPDATE ident SET id = 4');
SELECT compare.changes('INSERT INTO ident DEFAULT VALUES RETURNING version');

--
-- Long values: out of line, compressed, left alone or changed
--
CALL compare.in_both($$
	CREATE TABLE doc (id int PRIMARY KEY, a int, body text, squeezed text, plain json, version int, updated_at timestamptz);
	ALTER TABLE doc ALTER COLUMN body SET STORAGE EXTERNAL;
	ALTER TABLE doc ALTER COLUMN plain SET STORAGE EXTERNAL;
	INSERT INTO doc SELECT 1, 1, string_agg(md5(i::text), ''), repeat('x', 200000), to_json(string_agg(md5(i::text), '')), 5, '2002-01-01 00:00:00Z' FROM generate_series(1, 2000) AS i;
	INSERT INTO doc VALUES (2, 2, 'short', 'short', '"short"', 5, '2002-01-01 00:00:00Z');
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON doc FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
SELECT compare.changes('UPDATE doc SET a = 1 WHERE id = 1');
SELECT compare.changes('UPDATE doc SET a = 9');
SELECT compare.changes('UPDATE doc SET body = body, squeezed = squeezed, plain = plain');
-- the same value, made anew
SELECT compare.changes('UPDATE doc SET body = body || '''', squeezed = squeezed || '''', plain = (plain::text)::json');
SELECT compare.changes('UPDATE doc SET body = body || ''!''');
SELECT compare.changes('UPDATE doc SET body = overlay(body PLACING ''?'' FROM 60000) WHERE id = 1');
SELECT compare.changes('UPDATE doc SET squeezed = squeezed || ''y'' WHERE id = 1');
SELECT compare.changes('UPDATE doc SET squeezed = repeat(''x'', 199999) || ''y'' WHERE id = 1');
SELECT compare.changes('UPDATE doc SET plain = ''1''');
SELECT compare.changes('UPDATE doc SET body = (SELECT body FROM doc WHERE id = 1) WHERE id = 2');
SELECT compare.effect('UPDATE doc SET a = 9 RETURNING id, a, body, squeezed, plain');
-- what is not touched is not written again
BEGIN;
CREATE TEMP TABLE toast_before ON COMMIT DROP AS
	SELECT pg_relation_size(reltoastrelid) AS size FROM pg_class WHERE oid = 'doc'::regclass;
UPDATE doc SET a = a + 1;
UPDATE doc SET a = a + 1, version = version + 1;
SELECT pg_relation_size(reltoastrelid) = size FROM pg_class, toast_before WHERE oid = 'doc'::regclass;
ROLLBACK;

--
-- A wide table: 200 columns, the stamps among them
--
SELECT format('CREATE TABLE wide (id int PRIMARY KEY, %s, version int, %s, updated_at timestamptz, %s)',
		string_agg(format('a%s int', i), ', ') FILTER (WHERE i <= 60),
		string_agg(format('b%s text', i), ', ') FILTER (WHERE i <= 60),
		string_agg(format('c%s json', i), ', ')) AS wide
	FROM generate_series(1, 77) AS i \gset
CALL compare.in_both(:'wide');
CALL compare.in_both($$
	INSERT INTO wide (id, a1, a60, b1, c77, version, updated_at) VALUES (1, 1, 60, 'one', '[77]', 5, '2002-01-01 00:00:00Z'), (2, NULL, NULL, NULL, NULL, 5, '2002-01-01 00:00:00Z');
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON wide FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=a60,b60, c76');
SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0;
SET compare.left_out = 'version updated_at';
SELECT compare.changes('UPDATE wide SET c77 = ''[78]''');
SELECT compare.changes('UPDATE wide SET b1 = ''two''');
SELECT compare.changes('UPDATE wide SET a60 = 0, b60 = ''x'', c76 = ''[]''');
SELECT compare.changes('UPDATE wide SET a60 = 0, b60 = ''x'', c76 = ''[]'', c75 = ''1'' WHERE id = 2');
SELECT compare.changes('UPDATE wide SET a1 = a1, c77 = c77');
SELECT compare.effect('UPDATE wide SET a30 = 9 RETURNING id, a1, a30, a60, b1, b60, c1, c77::text');
DO $$
DECLARE
	n bigint;
BEGIN
	EXECUTE (SELECT 'UPDATE wide SET ' || string_agg(format('%1$I = %1$I', attname), ', ')
			 FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0 AND attname NOT IN ('version', 'updated_at'));
	GET DIAGNOSTICS n = ROW_COUNT;
	RAISE NOTICE '% rows, versions %', n, (SELECT array_agg(version ORDER BY id) FROM wide);
END
$$;

--
-- Rows of one table that carry different numbers of columns, in one statement
--
CREATE TABLE grown (id int PRIMARY KEY, a int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON grown FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO grown VALUES (1, 1);
ALTER TABLE grown ADD COLUMN b int;
INSERT INTO grown VALUES (2, 2, NULL, 2);
ALTER TABLE grown ADD COLUMN c int DEFAULT 4;
INSERT INTO grown VALUES (3, 3, NULL, 3, 3);
SELECT compare.changes('UPDATE grown SET a = a');
SELECT compare.changes('UPDATE grown SET b = 2');
SELECT compare.changes('UPDATE grown SET c = 4');
SELECT compare.changes('UPDATE grown SET a = 9');

-- a temporary table, and an unlogged one
CREATE TEMP TABLE fleeting (id int, a int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON fleeting FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO fleeting VALUES (1, 1);
UPDATE fleeting SET a = 2 RETURNING *;
CREATE UNLOGGED TABLE light (id int, a int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON light FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO light VALUES (1, 1);
UPDATE light SET a = 2 RETURNING *;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
