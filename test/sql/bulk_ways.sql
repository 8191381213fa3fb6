--
-- Bulk upsert writes plain tables without a statement.  Whatever a table has that
-- such a write could miss, next to row by row and to the statement.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_ways.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on

--
-- Indexes of every kind are kept
--
CALL compare.in_both($$
	CREATE TABLE place (id int PRIMARY KEY, name text, at point, words tsvector, tags int[], n int, note text);
	CREATE INDEX ON place USING hash (name);
	CREATE INDEX ON place USING gist (at);
	CREATE INDEX ON place USING gin (words);
	CREATE INDEX ON place USING gin (tags);
	CREATE INDEX ON place USING brin (n);
	CREATE INDEX ON place USING spgist (name);
	CREATE INDEX ON place (lower(name)) WHERE n > 2;
	CREATE UNIQUE INDEX ON place (note, id) INCLUDE (name);
	INSERT INTO place SELECT i, 'place ' || i, point(i, i), to_tsvector('simple', 'word' || i), ARRAY[i, i + 1], i, 'x' FROM generate_series(1, 5) AS i;
$$);
\set places '[{"id": 1, "name": "new", "at": "(9,9)", "words": "word9", "tags": [9], "n": 9}, {"id": 3, "name": "place 3", "at": "(3,3)", "words": "word33", "tags": [3, 4], "n": 1}, {"id": 8, "name": "eight", "at": "(8,8)", "words": "word8", "tags": [9, 8], "n": 8}]'
CALL compare.bulk('place', :'places');
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('place', :'places');
SET LOCAL enable_seqscan = off;
SELECT (SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE name = 'new'),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE at <@ box '(7,7),(10,10)'),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE words @@ 'word9 | word8 | word3'),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE tags @> '{9}'),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE n = 9),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE lower(name) = 'new' AND n > 2),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM place WHERE name ^@ 'eig');
ROLLBACK;
-- exclusion constraints, deferred keys, a key that is broken on the way
CALL compare.in_both($$
	CREATE TABLE seat (id int PRIMARY KEY, during int4range, code int UNIQUE DEFERRABLE INITIALLY DEFERRED, other int UNIQUE, EXCLUDE USING gist (during WITH &&));
	INSERT INTO seat VALUES (1, '[1,5)', 1, 1), (2, '[5,9)', 2, 2);
$$);
CALL compare.bulk('seat', '[{"id": 1, "during": "[1,4)"}, {"id": 3, "during": "[4,5)"}]');
CALL compare.bulk('seat', '[{"id": 1, "during": "[1,6)"}]');
CALL compare.bulk('seat', '[{"id": 3, "during": "[2,3)"}]');
CALL compare.bulk('seat', '[{"id": 1, "code": 2}, {"id": 2, "code": 1}]');
CALL compare.bulk('seat', '[{"id": 1, "code": 2}]');
CALL compare.bulk('seat', '[{"id": 1, "other": 5}, {"id": 2, "other": 1}]');
CALL compare.bulk('seat', '[{"id": 1, "other": 2}, {"id": 2, "other": 5}]');
CALL compare.bulk('seat', '[{"id": 3, "other": 2}, {"id": 4, "other": 4}]');

-- as the client is told of it without a savepoint
SELECT * FROM orm_ext.bulk_upsert('seat', '[{"id": 3}, {"id": 1, "other": 2}]');
SELECT * FROM orm_ext.bulk_upsert('seat', '[{"id": 3}, {"id": 4, "other": 2}]');
SELECT * FROM orm_ext.bulk_upsert('seat', '[{"id": 3}, {"id": null}]');
SELECT * FROM orm_ext.bulk_upsert('seat', '[{"id": 3, "during": "[2,3)"}]');
SELECT * FROM orm_ext.bulk_upsert('seat', '[{"id": 3}, {"id": 4, "nope": 1}]');
SELECT * FROM orm_ext.bulk_upsert('seat', '[{"id": 3}, {"id": 4, "other": "x"}]');
SELECT * FROM seat ORDER BY id;

--
-- Rows as they were before columns were added; wide ones; no room for a short update
--
CALL compare.in_both($$
	CREATE TABLE old (id int PRIMARY KEY, a text) WITH (fillfactor = 100);
	INSERT INTO old SELECT i, 'a' FROM generate_series(1, 5) AS i;
	ALTER TABLE old ADD b int DEFAULT 7, ADD c text NOT NULL DEFAULT 'c', DROP a, ADD d int;
	ALTER TABLE old ALTER b SET DEFAULT 8;
$$);
CALL compare.bulk('old', '[{"id": 1, "b": 7}, {"id": 2, "d": 1}, {"id": 3, "c": "c"}, {"id": 4, "c": "x"}, {"id": 9}]');
CALL compare.bulk('old', '[{"id": 1, "b": 7, "c": "c", "d": null}, {"id": 2, "b": 8, "c": "c", "d": null}, {"id": 9, "b": null, "c": "y", "d": 1}]');
SELECT (SELECT jsonb_agg(jsonb_build_object('id', i, 'c', repeat(md5(i::text), 500))) FROM generate_series(4, 8) AS i) AS rows \gset
CALL compare.bulk('old', :'rows');

--
-- Foreign keys of both sides
--
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, code int UNIQUE, n int);
	CREATE TABLE child (id int PRIMARY KEY, code int REFERENCES parent (code) ON UPDATE CASCADE, strict int REFERENCES parent);
	INSERT INTO parent VALUES (1, 10, 1), (2, 20, 2), (3, 30, 3);
	INSERT INTO child VALUES (1, 10, 3), (2, 20, NULL);
$$);
CALL compare.bulk('parent', '[{"id": 1, "code": 11}, {"id": 2, "n": 5}, {"id": 4, "code": 40}]');
CALL compare.bulk('parent', '[{"id": 33, "code": 30}]', '{"conflict": ["code"]}');
CALL compare.bulk('parent', '[{"id": 22, "code": 20}]', '{"conflict": ["code"]}');
CALL compare.bulk('child', '[{"id": 1, "code": 30}, {"id": 3, "strict": 2}]');
CALL compare.bulk('child', '[{"id": 1, "code": 30}, {"id": 3, "strict": 9}]');
CALL compare.bulk('child', '[{"id": 1, "code": 99}]');

--
-- Row triggers that are there for some rows, some columns, later, or never
--
CALL compare.in_both($$
	CREATE TABLE log (at serial, line text);
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %I.log (line) VALUES ($1)', tg_table_schema) USING concat_ws(' ', tg_name, tg_op, old::text, new::text);
		IF new.name = 'veto' THEN
			RETURN NULL;
		ELSIF new.name = 'change' AND tg_when = 'BEFORE' THEN
			new.n := 1000;
		END IF;
		RETURN new;
	END $f$;
	CREATE TABLE stock (id int PRIMARY KEY, name text, n int DEFAULT 0, twice int GENERATED ALWAYS AS (n * 2) STORED);
	INSERT INTO stock SELECT i, 'item ' || i, i FROM generate_series(1, 6) AS i;
	CREATE TRIGGER a_update BEFORE UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER b_name AFTER UPDATE OF name ON stock FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER c_when AFTER INSERT OR UPDATE ON stock FOR EACH ROW WHEN (new.n > 5) EXECUTE FUNCTION tell();
	CREATE CONSTRAINT TRIGGER d_late AFTER INSERT OR UPDATE ON stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER e_never AFTER INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION tell();
	ALTER TABLE stock DISABLE TRIGGER e_never;
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}, {"id": 2, "name": "item 2"}, {"id": 3, "name": "change"}, {"id": 9, "name": "b"}]')$$,
					 $$INSERT INTO stock (id, name) VALUES (1, 'a'), (3, 'change'), (9, 'b') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "n": 10}, {"id": 2, "n": 2}, {"id": 9, "n": 9}]')$$,
					 $$INSERT INTO stock (id, n) VALUES (1, 10), (9, 9) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::stock, '[{"id": 1, "name": "veto", "n": 5}, {"id": 3, "name": "change", "n": 5}, {"id": 9, "name": "veto"}]');
SELECT line FROM log ORDER BY at;
ROLLBACK;
SELECT setval('log_at_seq', 1, false);
-- stamps next to them
CALL compare.in_both($$
	ALTER TABLE stock ADD version int, ADD updated_at timestamptz, ADD created_at timestamptz;
	CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at');
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}, {"id": 2, "name": "item 2"}, {"id": 3, "name": "change"}, {"id": 9, "name": "b"}]')$$,
					 $$INSERT INTO stock (id, name) VALUES (1, 'a'), (3, 'change'), (9, 'b') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a", "version": null}, {"id": 9, "name": "b", "version": 3}]')$$,
					 $$INSERT INTO stock (id, name, version) VALUES (1, 'a', NULL), (9, 'b', 3) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
-- one that changes another row of the input
CALL compare.in_both($$
	CREATE TABLE pairs (id int PRIMARY KEY, n int);
	INSERT INTO pairs SELECT i, i FROM generate_series(1, 4) AS i;
	CREATE FUNCTION touch_next() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('UPDATE %I.pairs SET n = -1 WHERE id = $1 AND pg_trigger_depth() < 2', tg_table_schema) USING new.id + 1;
		RETURN new;
	END $f$;
	CREATE TRIGGER touch_next BEFORE UPDATE ON pairs FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION touch_next();
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('pairs', '[{"id": 1, "n": 10}, {"id": 2, "n": 20}]')$$,
					 $$INSERT INTO pairs VALUES (1, 10), (2, 20) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('pairs', '[{"id": 1, "n": 10}, {"id": 3, "n": 20}]')$$,
					 $$INSERT INTO pairs VALUES (1, 10), (3, 20) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);

--
-- It is one statement all the same: its default expressions and conditions see
-- the table as it was
--
CALL compare.in_both($$
	CREATE TABLE counted (id int PRIMARY KEY, n bigint);
	INSERT INTO counted VALUES (1, 0);
	CREATE FUNCTION rows_so_far() RETURNS bigint LANGUAGE plpgsql STABLE AS $f$ BEGIN RETURN (SELECT count(*) FROM counted); END $f$;
	CREATE FUNCTION rows_right_now() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $f$ BEGIN RETURN (SELECT count(*) FROM counted); END $f$;
	ALTER TABLE counted ALTER n SET DEFAULT rows_so_far();
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('counted', '[{"id": 2}, {"id": 3}, {"id": 4}]')$$, $$INSERT INTO counted (id) VALUES (2), (3), (4) ON CONFLICT (id) DO NOTHING$$);
CALL compare.in_both('ALTER TABLE counted ALTER n SET DEFAULT rows_right_now()');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('counted', '[{"id": 2}, {"id": 3}, {"id": 4}]')$$, $$INSERT INTO counted (id) VALUES (2), (3), (4) ON CONFLICT (id) DO NOTHING$$);

--
-- Rules, publications, children, switched off triggers
--
CREATE RULE quiet AS ON INSERT TO counted WHERE new.id = 5 DO INSTEAD NOTHING;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('counted', '[{"id": 2}]')$$);
DROP RULE quiet ON counted;
CREATE TABLE silent (id int, n int, UNIQUE (id));
INSERT INTO silent VALUES (1, 1);
SET client_min_messages = error;
CREATE PUBLICATION regress_orm_publication FOR TABLE silent;
RESET client_min_messages;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('silent', '[{"id": 1, "n": 2}]', '{id}')$$);
SELECT * FROM compare.failure($$UPDATE silent SET n = 2$$);
SELECT * FROM orm_ext.bulk_upsert('silent', '[{"id": 1, "n": 1}, {"id": 2, "n": 2}]', '{id}');
DROP PUBLICATION regress_orm_publication;
DROP TABLE silent;
CALL compare.in_both($$
	CREATE TABLE base (id int PRIMARY KEY, n int);
	CREATE TABLE derived (more int) INHERITS (base);
	INSERT INTO base VALUES (1, 1);
	INSERT INTO derived VALUES (1, 10), (2, 20);
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('base', '[{"id": 1, "n": 5}, {"id": 2, "n": 6}]')$$, $$INSERT INTO base VALUES (1, 5), (2, 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);

--
-- Where a conflict is met that was not foreseen, the statement takes over: a number
-- of a sequence is then left out, and nothing else is seen of it
--
CALL compare.in_both($$
	CREATE TABLE setting (tenant int DEFAULT 1, name text, value text, s serial, PRIMARY KEY (tenant, name));
	INSERT INTO setting VALUES (1, 'a', 'x', 100), (2, 'a', 'y', 101);
$$);
BEGIN;
SELECT ordinal, action, (result).tenant, (result).name, (result).value FROM orm_ext.bulk_upsert_returning(NULL::setting, '[{"name": "c", "value": "new"}, {"name": "a", "value": "new"}, {"name": "b", "value": "new"}, {"name": "a", "tenant": 2, "value": "new"}]');
SELECT tenant, name, value FROM setting ORDER BY tenant, name;
SELECT * FROM orm_ext.last_bulk_result();
ROLLBACK;

-- what is counted of it by the server
SELECT pg_stat_get_xact_tuples_inserted('stock'::regclass) AS inserted, pg_stat_get_xact_tuples_updated('stock'::regclass) AS updated \gset
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "item 3"}, {"id": 9, "name": "c"}]');
SELECT pg_stat_get_xact_tuples_inserted('stock'::regclass) - :inserted, pg_stat_get_xact_tuples_updated('stock'::regclass) - :updated;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
