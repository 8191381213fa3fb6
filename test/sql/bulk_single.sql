--
-- A row that comes alone is written without a store, and without a subtransaction
-- unless it is new; a row that nothing has to be checked for is updated without
-- being locked before.  Next to row by row and to the statement.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_single.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on

--
-- A new row, one that changes, one that does not
--
CALL compare.in_both($$
	CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL DEFAULT 'none', code int UNIQUE, n serial, note text);
	INSERT INTO item (id, name, code, note) SELECT i, 'item ' || i, i * 10, 'x' FROM generate_series(1, 5) AS i;
$$);
CALL compare.bulk('item', '{"id": 6, "name": "six"}');
CALL compare.bulk('item', '{"id": 2, "name": "two"}');
CALL compare.bulk('item', '{"id": 2, "name": "item 2"}');
CALL compare.bulk('item', '{"id": 2, "name": "two", "code": 20, "n": 2, "note": null}');
CALL compare.bulk('item', '{"id": 6, "name": "six", "code": 60, "n": 9, "note": "wide"}');
CALL compare.bulk('item', '{"id": 2, "name": "two"}', '{"on_conflict": "nothing"}');
CALL compare.bulk('item', '{"code": 30, "id": 3, "name": "three"}', '{"conflict": ["code"]}');
CALL compare.bulk('item', '{"code": 60, "id": 6}', '{"conflict": ["code"]}');
CALL compare.bulk('item', '{"id": 2}');
CALL compare.bulk('item', '{"id": 7}');
-- two rows that are one
CALL compare.bulk('item', '[{"id": 2, "name": "a"}, {"id": 2, "note": "b"}]');
CALL compare.bulk('item', '[{"id": 8, "name": "a"}, {"id": 8, "note": "b"}]');
CALL compare.bulk('item', '[{"id": 2, "name": "a"}, {"id": 2, "name": "b"}]', '{"on_duplicate": "first"}');
-- none
CALL compare.bulk('item', '[]');
-- which the statement would have refused as well
CALL compare.bulk('item', '{"id": 2, "name": null}');
CALL compare.bulk('item', '{"id": 2, "code": 30}');
CALL compare.bulk('item', '{"id": 9, "code": 30}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 2, "name": null}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 2, "code": 30}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 9, "code": 30}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 9, "name": null}');
SELECT id, name, code, note FROM item ORDER BY id;

--
-- Which transaction wrote it: a new row's is a subtransaction, an existing one's
-- is the transaction itself
--
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "here"}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 7, "name": "below"}');
SELECT id, xmin::text::bigint = pg_current_xact_id()::text::bigint % (2 ^ 32)::bigint FROM item WHERE id IN (1, 7) ORDER BY id;
ROLLBACK;
-- one that is the same takes none
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "item 1"}');
SELECT pg_current_xact_id_if_assigned();
ROLLBACK;
-- in a savepoint
BEGIN;
SAVEPOINT s;
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "gone"}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 7, "name": "gone"}');
ROLLBACK TO s;
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "here"}');
SELECT id, name FROM item WHERE id IN (1, 7) ORDER BY id;
ROLLBACK;

-- a transaction sees what it has done itself, row by row
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 7, "name": "new"}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 7, "name": "newer"}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 7, "name": "newer"}');
DELETE FROM item WHERE id = 7;
SELECT ordinal, action, (result).id, (result).name FROM orm_ext.bulk_upsert_returning(NULL::item, '{"id": 7, "name": "newest"}');
SELECT ordinal, action, (result).id, (result).name FROM orm_ext.bulk_upsert_returning(NULL::item, '{"id": 7, "note": "y"}');
SELECT id, name, note FROM item WHERE id = 7;
ROLLBACK;
SELECT setval('item_n_seq', 5);

--
-- What is to be checked or computed before a row is updated, or fired after it
--
CALL compare.in_both($$
	CREATE TABLE checked (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, twice int GENERATED ALWAYS AS (a * 2) STORED, CHECK (a + b < 10));
	CREATE TABLE plain_check (id int PRIMARY KEY, a int, b int, CHECK (a + b < 10));
	INSERT INTO checked VALUES (1, 1, 1), (2, 4, 4);
	INSERT INTO plain_check VALUES (1, 1, 1), (2, 4, 4);
$$);
CALL compare.bulk('checked', '{"id": 1, "a": 5}');
CALL compare.bulk('checked', '{"id": 2, "a": 6}');
CALL compare.bulk('checked', '{"id": 3, "a": 5, "b": 6}');
CALL compare.bulk('checked', '{"id": 3, "a": 5, "b": 1}');
CALL compare.bulk('plain_check', '{"id": 1, "a": 5}');
CALL compare.bulk('plain_check', '{"id": 2, "a": 6}');
CALL compare.bulk('plain_check', '[{"id": 1, "b": 3}, {"id": 2, "a": null}, {"id": 4}]');
-- wide values, in place and out of it
CALL compare.in_both($$
	CREATE TABLE wide (id text PRIMARY KEY, body text, n int);
	ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
	CREATE INDEX ON wide (n);
	CREATE INDEX ON wide (length(body)) WHERE n > 1;
	INSERT INTO wide SELECT 'w' || i, repeat(md5(i::text), 200), i FROM generate_series(1, 3) AS i;
$$);
CALL compare.bulk('wide', '{"id": "w1", "n": 8}');
SELECT jsonb_build_object('id', 'w2', 'body', repeat('z', 9000)) AS one, jsonb_build_object('id', 'w4', 'body', repeat('y', 9000)) AS other \gset
CALL compare.bulk('wide', :'one');
CALL compare.bulk('wide', :'other');
-- referenced and referring rows, with what follows from them
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, code int UNIQUE, n int);
	CREATE TABLE child (id int PRIMARY KEY, code int REFERENCES parent (code) ON UPDATE CASCADE, strict int REFERENCES parent);
	CREATE TABLE grandchild (id int PRIMARY KEY, child_code int, seen int DEFAULT 0);
	CREATE FUNCTION note_child() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('UPDATE %I.grandchild SET seen = seen + 1, child_code = $1 WHERE id = $2', tg_table_schema) USING new.code, new.id;
		RETURN NULL;
	END $f$;
	CREATE TRIGGER note_child AFTER INSERT OR UPDATE ON child FOR EACH ROW EXECUTE FUNCTION note_child();
	INSERT INTO parent VALUES (1, 10, 1), (2, 20, 2), (3, 30, 3);
	INSERT INTO grandchild SELECT i, NULL FROM generate_series(1, 5) AS i;
	INSERT INTO child VALUES (1, 10, 3), (2, 20, NULL);
$$);
CALL compare.bulk('parent', '{"id": 1, "code": 11}');
CALL compare.bulk('parent', '{"id": 1, "n": 11}');
CALL compare.bulk('parent', '{"code": 30, "id": 4}', '{"conflict": ["code"], "update_columns": ["id"]}');
CALL compare.bulk('child', '{"id": 1, "code": 30}');
CALL compare.bulk('child', '{"id": 1, "code": 31}');
CALL compare.bulk('child', '{"id": 3, "code": 30}');
CALL compare.bulk('child', '{"id": 3, "code": 31}');
-- deferred until the transaction ends
CALL compare.in_both($$
	ALTER TABLE child ADD late int REFERENCES parent DEFERRABLE INITIALLY DEFERRED;
	CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %I.grandchild VALUES ($1, $2)', tg_table_schema) USING 100 + new.id, new.late;
		RETURN NULL;
	END $f$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON child DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
$$);
CALL compare.bulk('child', '{"id": 3, "late": 3}');
CALL compare.bulk('child', '{"id": 1, "late": 3}');
CALL compare.bulk('child', '{"id": 3, "late": 9}');
CALL compare.bulk('child', '{"id": 1, "late": 9}');
-- triggers before and after, that veto, change and say no
CALL compare.in_both($$
	CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		IF new.name = 'veto' THEN
			RETURN NULL;
		ELSIF new.name = 'change' THEN
			new.n := 1000;
		ELSIF new.name = 'error' THEN
			RAISE unique_violation USING MESSAGE = tg_when || ' ' || tg_op;
		END IF;
		RETURN new;
	END $f$;
	CREATE TABLE stock (id int PRIMARY KEY, name text, n int DEFAULT 0);
	INSERT INTO stock SELECT i, 'item ' || i, i FROM generate_series(1, 3) AS i;
	CREATE TRIGGER a AFTER INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION meddle();
$$);
CALL compare.bulk('stock', '{"id": 1, "name": "veto"}');
CALL compare.bulk('stock', '{"id": 1, "name": "error"}');
CALL compare.bulk('stock', '{"id": 4, "name": "error"}');
SELECT * FROM orm_ext.bulk_upsert('stock', '{"id": 1, "name": "error"}');
SELECT * FROM orm_ext.bulk_upsert('stock', '{"id": 4, "name": "error"}');
CALL compare.in_both('CREATE TRIGGER b BEFORE UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION meddle()');
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::stock, '{"id": 1, "name": "veto"}');
CALL compare.bulk('stock', '{"id": 1, "name": "change"}');
SELECT * FROM orm_ext.bulk_upsert('stock', '{"id": 1, "name": "error"}');
SELECT * FROM stock ORDER BY id;
-- stamps and versions
CALL compare.in_both($$
	CREATE TABLE stamped (id int PRIMARY KEY, name text, version int, created_at timestamptz, updated_at timestamptz);
	CREATE TRIGGER zz_stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at');
$$);
BEGIN;
SELECT ordinal, action, (result).version, (result).created_at = now(), (result).updated_at >= now() FROM orm_ext.bulk_upsert_returning(NULL::stamped, '{"id": 1, "name": "a"}', version_column => 'version');
SELECT ordinal, action, (result).version FROM orm_ext.bulk_upsert_returning(NULL::stamped, '{"id": 1, "name": "b", "version": 1}', version_column => 'version');
SELECT ordinal, action, (result).version FROM orm_ext.bulk_upsert_returning(NULL::stamped, '{"id": 1, "name": "c", "version": 1}', version_column => 'version');
SELECT ordinal, action, (result).version FROM orm_ext.bulk_upsert_returning(NULL::stamped, '{"id": 1, "name": "b", "version": 2}', version_column => 'version');
ROLLBACK;

--
-- Handfuls and more: new rows are not looked for one by one where they are many
--
CALL compare.in_both($$
	CREATE TABLE many (id int PRIMARY KEY, n int);
	INSERT INTO many SELECT i * 10, i FROM generate_series(1, 50) AS i;
$$);
SELECT jsonb_agg(jsonb_build_object('id', 101 + i, 'n', i)) AS between FROM generate_series(1, 30) AS i \gset
SELECT jsonb_agg(jsonb_build_object('id', 480 + i, 'n', i)) AS beyond FROM generate_series(1, 31) AS i \gset
SELECT jsonb_agg(jsonb_build_object('id', i * 5, 'n', i)) AS mixed FROM generate_series(1, 120) AS i \gset
SELECT jsonb_agg(jsonb_build_object('id', 1000 + i, 'n', i)) AS thousands FROM generate_series(1, 1001) AS i \gset
CALL compare.bulk('many', :'between');
CALL compare.bulk('many', :'beyond');
CALL compare.bulk('many', :'mixed');
SELECT compare.after(format('SELECT inserted FROM orm_ext.bulk_upsert(''many'', %L)', :'thousands'), 'INSERT INTO many SELECT 1000 + i, i FROM generate_series(1, 1001) AS i');

--
-- Unlogged and temporary tables
--
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY, n int);
CREATE TEMPORARY TABLE passing (id int PRIMARY KEY, n int);
SELECT u.*, t.* FROM orm_ext.bulk_upsert('fleeting', '{"id": 1, "n": 1}') AS u, orm_ext.bulk_upsert('passing', '{"id": 1, "n": 1}') AS t;
SELECT u.*, t.* FROM orm_ext.bulk_upsert('fleeting', '{"id": 1, "n": 2}') AS u, orm_ext.bulk_upsert('passing', '{"id": 1, "n": 2}') AS t;
SELECT u.n, t.n FROM fleeting AS u, passing AS t;

--
-- The same table is asked for with other options, which are other statements
--
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "p", "note": "q"}', update_columns => '{name}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "r", "note": "s"}', update_columns => '{note}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "t", "note": "u"}', update_columns => '{}');
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "t", "note": "u"}', ARRAY['id'], ARRAY['name', 'note']);
SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "name": "v", "note": "w"}', ARRAY['id', 'name']);
SELECT id, name, note FROM item WHERE id = 1;
-- the counts are a row of a type that can be named
SELECT pg_typeof(u), (u).inserted FROM (SELECT orm_ext.bulk_upsert('item', '{"id": 10, "name": "ten"}') AS u) AS t;
CREATE TABLE counted OF orm_ext.bulk_counts;
INSERT INTO counted SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 10, "name": "tenth"}');
TABLE counted;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
