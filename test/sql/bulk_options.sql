--
-- Bulk upsert: on_duplicate, on_conflict, update_columns, version_column; created_*
-- and stamps.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_options.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, code text UNIQUE, title text, n int DEFAULT 0, created_by text DEFAULT 'nobody', version int NOT NULL DEFAULT 1);
	INSERT INTO post SELECT i, 'c' || i, 'title ' || i, i, 'ann', 5 FROM generate_series(1, 6) AS i;
$$);
\set some '[{"id": 1, "title": "a", "n": 10}, {"id": 8, "title": "b", "n": 20}, {"id": 2, "title": "title 2", "n": 2}, {"id": 1, "title": "c", "n": 30}, {"id": 8, "title": "d", "n": 40}, {"id": 3, "title": "e", "n": 50}, {"id": 1, "title": "f", "n": 60}]'
\set single '[{"id": 1, "title": "a", "n": 10}, {"id": 8, "title": "b", "n": 20}, {"id": 2, "title": "title 2", "n": 2}]'

--
-- on_duplicate
--
CALL compare.bulk('post', :'some');
CALL compare.bulk('post', :'some', '{"on_duplicate": "last"}');
CALL compare.bulk('post', :'some', '{"on_duplicate": "first"}');
CALL compare.bulk('post', :'single', '{"on_duplicate": "error"}');
SELECT * FROM compare.failure(format('SELECT orm_ext.bulk_upsert(''post'', %L, on_duplicate => ''error'')', :'some'));
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 9}, {"id": 3, "code": "z"}, {"id": 2, "code": "z"}]', '{code}', on_duplicate => 'error')$$);
-- nulls are no duplicates
CALL compare.bulk('post', '[{"id": 11, "code": null}, {"id": 12, "code": null}, {"id": 13, "code": null}]', '{"conflict": ["code"], "on_duplicate": "error"}');
CALL compare.bulk('post', '[{"id": 1, "title": "a"}, {"id": 1, "n": 7}, {"id": 1, "title": "title 1"}]', '{"on_duplicate": "last"}');
CALL compare.bulk('post', '[{"id": 1, "title": "a"}, {"id": 1, "n": 7}, {"id": 1, "title": "title 1"}]', '{"on_duplicate": "first"}');
CALL compare.bulk('post', '[{"id": 9, "title": "a"}, {"id": 9, "n": 7}, {"id": 9, "title": null}, {"id": 8, "n": 1}]', '{"on_duplicate": "last"}');
-- one after another: what is not updated stays as the first one made it
CALL compare.bulk('post', '[{"id": 9, "title": "a", "n": 1}, {"id": 9, "title": "b", "n": 2}, {"id": 1, "title": "a", "n": 1}, {"id": 1, "title": "b", "n": 2}]', '{"update_columns": ["n"]}');
CALL compare.bulk('post', '[{"id": 9, "created_by": "a"}, {"id": 9, "created_by": "b", "n": 2}, {"id": 8, "n": 1}, {"id": 8, "created_by": "c"}]');
CALL compare.bulk('post', :'some', '{"on_conflict": "nothing"}');
CALL compare.bulk('post', '[{"id": 9, "title": "a"}, {"id": 9, "n": 7}, {"id": 1, "title": "a"}, {"id": 1, "n": 7}]', '{"on_conflict": "nothing"}');
-- what is reported of them
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::post, :'some');
SELECT * FROM orm_ext.last_bulk_result();
ROLLBACK;
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::post, :'some', on_duplicate => 'first');
ROLLBACK;
-- of many rows
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', (SELECT jsonb_agg(jsonb_build_object('id', i % 50, 'n', i) ORDER BY i) FROM generate_series(1, 5000) AS i))$$,
					 $$INSERT INTO post (id, n) SELECT i % 50, i FROM generate_series(4951, 5000) AS i ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', (SELECT jsonb_agg(jsonb_build_object('id', i % 50, 'n', i) ORDER BY i) FROM generate_series(1, 5000) AS i), on_duplicate => 'first')$$,
					 $$INSERT INTO post (id, n) SELECT i % 50, i FROM generate_series(1, 50) AS i ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);

--
-- on_conflict
--
CALL compare.bulk('post', :'single', '{"on_conflict": "update"}');
CALL compare.bulk('post', :'single', '{"on_conflict": "nothing"}');
CALL compare.bulk('post', :'some', '{"on_conflict": "nothing", "on_duplicate": "first"}');
CALL compare.bulk('post', '[{"id": 1, "title": "a"}, {"id": 2}, {"id": 3, "n": null}, {"id": 9, "n": 8}]', '{"on_conflict": "nothing"}');
-- skipped before anything is checked, as ON CONFLICT DO NOTHING does for what the key decides
CALL compare.bulk('post', '[{"id": 1, "code": "c2"}]', '{"on_conflict": "nothing"}');
CALL compare.bulk('post', '[{"id": 9, "code": "c2"}]', '{"on_conflict": "nothing"}');
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::post, :'some', on_conflict => 'nothing');
SELECT * FROM orm_ext.last_bulk_result();
ROLLBACK;

--
-- update_columns
--
CALL compare.bulk('post', '[{"id": 1, "title": "a", "n": 10}, {"id": 8, "title": "b", "n": 20}]', '{"update_columns": ["title"]}');
CALL compare.bulk('post', '[{"id": 1, "title": "title 1", "n": 10}, {"id": 8, "title": "b", "n": 20}]', '{"update_columns": ["title"]}');
CALL compare.bulk('post', '[{"id": 1, "title": "a", "n": 10}, {"id": 2, "n": 20}, {"id": 3, "title": null}]', '{"update_columns": ["title"]}');
CALL compare.bulk('post', '[{"id": 1, "title": "a"}, {"id": 8, "title": "b"}]', '{"update_columns": ["n"]}');
CALL compare.bulk('post', '[{"id": 1, "title": "a", "n": 9}]', '{"update_columns": ["n", "title", "n"]}');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "a"}, {"id": 8, "title": "b"}]', update_columns => '{}')$$,
					 $$INSERT INTO post (id, title) VALUES (8, 'b')$$);
CALL compare.bulk('post', '[{"id": 1, "title": "a"}, {"id": 1, "n": 7}, {"id": 8, "title": "b"}, {"id": 8, "n": 7}]', '{"update_columns": ["n"]}');
-- created_* only where it is asked for
CALL compare.bulk('post', '[{"id": 1, "created_by": "bob"}, {"id": 8, "created_by": "bob"}]');
CALL compare.bulk('post', '[{"id": 1, "created_by": "bob", "n": 7}]');
CALL compare.bulk('post', '[{"id": 1, "created_by": "bob", "n": 7}]', '{"update_columns": ["created_by"]}');
-- of another key than the primary one, the primary key itself
CALL compare.bulk('post', '[{"id": 21, "code": "c1", "n": 7}]', '{"conflict": ["code"], "update_columns": ["n"]}');
CALL compare.bulk('post', '[{"id": 21, "code": "c1", "n": 7}]', '{"conflict": ["code"], "update_columns": ["id"]}');
-- a column of the key: what is stored equals what is given, so it comes to the same
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', update_columns => '{id,n}')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', update_columns => '{nope}')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', update_columns => '{ctid}')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', update_columns => ARRAY['n', NULL])$$);

--
-- version_column
--
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 4}, {"id": 3, "title": "c", "version": 6}, {"id": 8, "title": "d", "version": 7}, {"id": 9, "title": "d", "version": 1}]', '{"version_column": "version"}');
CALL compare.bulk('post', '[{"id": 1, "title": "title 1", "version": 5}, {"id": 2, "title": "title 2", "version": 4}]', '{"version_column": "version"}');
CALL compare.bulk('post', '[{"id": 1, "title": "a"}, {"id": 8, "title": "d"}]', '{"version_column": "version"}');
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": null}, {"id": 2, "title": "a", "version": 4}]', '{"version_column": "version"}');
-- what is skipped anyway is not stale
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": 4}, {"id": 2, "title": "a", "version": 5}]', '{"version_column": "version", "on_conflict": "nothing"}');
CALL compare.bulk('post', '[{"id": 1, "code": "c1", "title": "a", "n": 7, "created_by": "bob", "version": 5}, {"id": 2, "code": "c2", "title": "a", "n": 7, "created_by": "bob", "version": 1}]', '{"version_column": "version"}');
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": 5}]', '{"version_column": "version", "update_columns": ["n"]}');
CALL compare.bulk('post', '[{"code": "c1", "title": "a", "version": 5}, {"code": "c2", "title": "a", "version": 4}]', '{"version_column": "version", "conflict": ["code"]}');
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "title 2", "version": 5}, {"id": 3, "title": "c", "version": 3}]', '{"version_column": "version", "update_columns": ["title", "version"]}');
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": 5}, {"id": 1, "n": 7, "version": 5}, {"id": 2, "title": "a", "version": 5}, {"id": 2, "n": 7, "version": 4}]', '{"version_column": "version"}');
-- without it a version is a column as any other
CALL compare.bulk('post', '[{"id": 1, "title": "a", "version": 4}]');
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::post, '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 4}, {"id": 8, "title": "b", "version": 4}]', version_column => 'version');
SELECT * FROM orm_ext.last_bulk_result();
-- and again with what was read then
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::post, '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 5}]', version_column => 'version');
ROLLBACK;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', version_column => 'nope')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', version_column => 'id')$$);
-- other types
CALL compare.in_both($$
	CREATE TABLE v_uuid (id int PRIMARY KEY, n int, version uuid);
	INSERT INTO v_uuid VALUES (1, 1, '00000000-0000-0000-0000-000000000001'), (2, 2, NULL);
	CREATE TABLE v_time (id int PRIMARY KEY, n int, version timestamptz);
	INSERT INTO v_time VALUES (1, 1, '2001-02-03 04:05:06Z');
	CREATE TABLE v_big (id int PRIMARY KEY, n int, version bigint);
	INSERT INTO v_big VALUES (1, 1, 9007199254740993), (2, 2, 9223372036854775807);
	CREATE TABLE v_small (id int PRIMARY KEY, n int, version smallint);
	INSERT INTO v_small VALUES (1, 1, 1);
$$);
CALL compare.bulk('v_big', '[{"id": 1, "n": 5, "version": 9007199254740993}]', '{"version_column": "version"}');
CALL compare.bulk('v_big', '[{"id": 1, "n": 5, "version": 9007199254740992}]', '{"version_column": "version"}');
CALL compare.bulk('v_big', '[{"id": 2, "n": 5, "version": 9223372036854775807}]', '{"version_column": "version"}');
CALL compare.bulk('v_small', '[{"id": 1, "n": 5, "version": 1}, {"id": 2, "n": 5, "version": 1}]', '{"version_column": "version"}');
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::v_uuid, '[{"id": 1, "n": 5, "version": "00000000-0000-0000-0000-000000000001"}, {"id": 2, "n": 5, "version": null}]', version_column => 'version');
SELECT ordinal, action, (result).n FROM orm_ext.bulk_upsert_returning(NULL::v_uuid, '[{"id": 1, "n": 6, "version": "00000000-0000-0000-0000-000000000002"}]', version_column => 'version');
SELECT ordinal, action, (result).n FROM orm_ext.bulk_upsert_returning(NULL::v_time, '[{"id": 1, "n": 5, "version": "2001-02-03 05:05:06+01"}]', version_column => 'version');
SELECT ordinal, action, (result).n FROM orm_ext.bulk_upsert_returning(NULL::v_time, '[{"id": 1, "n": 6, "version": "2001-02-03 04:05:07Z"}]', version_column => 'version');
ROLLBACK;

--
-- Stamps: versions are raised by their trigger, created is kept, updated moves with a change
--
CALL compare.in_both($$
	CREATE TABLE note (id int PRIMARY KEY, title text, n int, version int, made_at timestamptz, touched_at timestamptz);
	CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW
		EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=made_at', 'updated=touched_at');
	INSERT INTO note VALUES (1, 'one', 1, 5, '2001-01-01Z', '2001-01-01Z'), (2, 'two', 2, 5, '2001-01-01Z', '2001-01-01Z'), (3, 'three', 3, 5, '2001-01-01Z', '2001-01-01Z');
$$);
SELECT compare.bulk_nested('note', '[{"id": 1, "title": "a"}, {"id": 2, "title": "two"}, {"id": 9, "title": "nine"}]');
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a"}, {"id": 2, "title": "two"}, {"id": 9, "title": "nine"}]')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 4}, {"id": 3, "title": "three", "version": 5}, {"id": 9, "title": "nine", "version": 5}]', version_column => 'version')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a"}, {"id": 2, "title": "b", "version": null}]', version_column => 'version')$$);
-- without version_column a version that is given is left to the trigger: the next one passes, an old one is stale
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 6}]')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 5}]')$$);
SELECT left(compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 4}]')$$), 60);
-- the column that a stamp keeps as created stays, whatever it is called
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "made_at": "2020-01-01Z"}, {"id": 2, "made_at": "2020-01-01Z"}, {"id": 9, "made_at": "2020-01-01Z"}]')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "touched_at": "2020-01-01Z"}, {"id": 2, "touched_at": "2020-01-01Z"}]')$$);
-- null is none for what the trigger keeps; and each row for itself
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": null, "made_at": null, "touched_at": null}, {"id": 9, "title": "b", "version": null, "made_at": null, "touched_at": null}]')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "touched_at": "2020-01-01Z"}, {"id": 2, "title": "b"}, {"id": 3, "title": "c", "version": 6}]')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert(ARRAY[(1, 'a', 1, NULL, NULL, NULL), (2, 'two', 2, NULL, NULL, NULL), (9, 'nine', 9, NULL, NULL, NULL)]::note[])$$);
-- rows as they were read
BEGIN;
SELECT array_agg((id, title || CASE id WHEN 2 THEN '!' ELSE '' END, n, version, made_at, touched_at)::note) AS read FROM note \gset
SELECT * FROM orm_ext.bulk_upsert(:'read'::note[], version_column => 'version');
SELECT id, title, version, made_at = '2001-01-01Z', touched_at = now() FROM note ORDER BY id;
SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(:'read'::note[], version_column => 'version');
ROLLBACK;
-- a trigger in strict mode, one that has to be given the version, and one that is switched off
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=strict');
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 4}, {"id": 9, "title": "nine"}]', version_column => 'version')$$);
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 4}, {"id": 9, "title": "nine"}]', version_column => 'version')$$);
ALTER TABLE soft.note DISABLE TRIGGER stamps;
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 5}, {"id": 2, "title": "b", "version": 4}, {"id": 9, "title": "nine"}]', version_column => 'version')$$);
-- the guard is content with a checked one
ALTER TABLE soft.note ENABLE TRIGGER stamps;
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SET orm_ext.version_guard = 'error';
SELECT compare.changes($$SELECT * FROM orm_ext.bulk_upsert('note', '[{"id": 1, "title": "a", "version": 5}]', version_column => 'version')$$);
RESET orm_ext.version_guard;

--
-- Which values there are
--
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', on_conflict => 'replace')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', on_duplicate => 'any')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', on_deleted => 'delete')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', on_conflict => NULL)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', on_duplicate => '')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('post', '[{"id": 1, "n": 7}]', on_conflict => 'UPDATE')$$);
-- on_deleted is no matter where nothing is under soft delete
CALL compare.bulk('post', :'single', '{"on_deleted": "revive"}');
CALL compare.bulk('post', :'single', '{"on_deleted": "error"}');
CALL compare.bulk('post', :'single', '{"on_deleted": "skip", "on_conflict": "nothing"}');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
