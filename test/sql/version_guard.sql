--
-- orm_ext.version_guard names the UPDATE or DELETE that forgets the version.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE post (id int PRIMARY KEY, email text UNIQUE, title text, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO post SELECT i, i || '@x', 'post ' || i FROM generate_series(1, 9) AS i;
CREATE TABLE line (a int, b int, n int, version int, PRIMARY KEY (a, b));
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON line FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=strict');
INSERT INTO line VALUES (1, 1), (1, 2);
CREATE TABLE free (id int PRIMARY KEY, title text, version int);
INSERT INTO free VALUES (1);
SHOW orm_ext.version_guard;
UPDATE post SET title = 'x' WHERE id = 1;

SET orm_ext.version_guard = 'warn';
UPDATE post SET title = 'y' WHERE id = 1;
DELETE FROM post WHERE id = 9;
UPDATE post SET title = 'z' WHERE id IN (1, 2) RETURNING id, version;

SET orm_ext.version_guard = 'error';
SELECT compare.refusal('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.refusal('DELETE FROM post WHERE id = 1');
-- what counts as naming rows by their key
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE 1 = id'), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id IN (1, 2)'), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = ANY (''{1,2}'')'), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 1 AND title <> ''x'''), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 1::bigint'), 5);
SELECT left(compare.changes('UPDATE post AS p SET title = ''x'' WHERE (p.id = 1)'), 5);
SELECT left(compare.changes('UPDATE line SET n = 1 WHERE a = 1 AND b = 2'), 5);
SELECT left(compare.changes('UPDATE line SET n = 1 WHERE a = 1 AND b IN (1, 2)'), 5);
SELECT left(compare.changes('WITH u AS (UPDATE post SET title = ''x'' WHERE id = 1 RETURNING 1) SELECT * FROM u'), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'', version = 2 WHERE id = 5'), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'', version = version + 1 WHERE id = 5'), 5);
-- and what does not
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 5 AND version = 1');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE version = 1 AND id = 5');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 5 AND (version = 1 OR version IS NULL)');
SELECT compare.changes('DELETE FROM post WHERE id = 5 AND version = 1');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE (id, version) IN ((5, 1), (6, 7))');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id > 8');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id > 4 AND id < 6');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE email = ''5@x''');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 5 OR title = ''nothing''');
SELECT compare.changes('UPDATE line SET n = 1 WHERE a = 1');
SELECT compare.changes('UPDATE post SET title = ''x'' FROM free WHERE free.id + 4 = post.id');
SELECT compare.changes('UPDATE free SET title = ''x'' WHERE id = 1');
SELECT compare.changes('DELETE FROM free WHERE id = 1');
SELECT compare.changes('INSERT INTO post VALUES (5) ON CONFLICT (id) DO UPDATE SET title = ''x''');
SELECT compare.changes('SELECT FROM post WHERE id = 5 FOR UPDATE');
-- not with an expected version, which is the version
BEGIN;
SET LOCAL orm_ext.expected_version = '1';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 5');
SELECT compare.changes('DELETE FROM post WHERE id = 5');
COMMIT;
-- nor where the SET list brings it
BEGIN;
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
SELECT compare.changes('UPDATE post SET title = ''x'', version = 1 WHERE id = 5');
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 5'), 5);
SELECT left(compare.changes('DELETE FROM post WHERE id = 5'), 5);
ROLLBACK;
-- nor where the version is not kept
BEGIN;
ALTER TABLE post DISABLE TRIGGER stamps;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 5');
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 5');
ROLLBACK;

-- foreign keys of the server
CREATE TABLE owner (id int PRIMARY KEY);
INSERT INTO owner VALUES (1), (2);
CREATE TABLE pet (id int PRIMARY KEY REFERENCES owner ON DELETE CASCADE ON UPDATE CASCADE, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON pet FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO pet VALUES (1), (2);
SELECT compare.changes('DELETE FROM owner WHERE id = 1');
SELECT compare.changes('UPDATE owner SET id = 3 WHERE id = 2');

-- views, partitions, soft delete
CREATE VIEW posts AS SELECT id AS key, title, version FROM post;
SELECT left(compare.changes('UPDATE posts SET title = ''x'' WHERE key = 5'), 5);
SELECT compare.changes('UPDATE posts SET title = ''x'' WHERE key = 5 AND version = 1');
CREATE TABLE event (id int, kind text, a int, version int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE event_a (version int, a int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE event ATTACH PARTITION event_a FOR VALUES IN ('a');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO event VALUES (1, 'a', 1);
SELECT left(compare.changes('UPDATE event SET a = 2 WHERE id = 1 AND kind = ''a'''), 5);
SELECT compare.changes('UPDATE event SET a = 2 WHERE id = 1 AND kind = ''a'' AND version = 1');
SELECT left(compare.changes('UPDATE event_a SET a = 2 WHERE id = 1 AND kind = ''a'''), 5);
CREATE TABLE note (id int PRIMARY KEY, a int, version int, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO note VALUES (1, 1);
SELECT compare.refusal('DELETE FROM note WHERE id = 1');
SELECT replace(compare.changes('DELETE FROM note WHERE id = 1 AND version = 1'), 'now', 'set');
SELECT left(compare.changes('MERGE INTO note USING (VALUES (1)) AS v (id) ON v.id = note.id AND note.id = 1 WHEN MATCHED THEN DELETE'), 5);

-- statements that are prepared are told when they are planned, also after a change of the setting
RESET orm_ext.version_guard;
PREPARE rename (int) AS UPDATE post SET title = 'x' WHERE id = $1 RETURNING id;
PREPARE careful (int, int) AS UPDATE post SET title = 'x' WHERE id = $1 AND version = $2 RETURNING id;
SET plan_cache_mode = force_generic_plan;
EXECUTE rename (5);
EXECUTE rename (5);
SET orm_ext.version_guard = 'error';
EXECUTE rename (5);
\echo SQLSTATE :SQLSTATE
EXECUTE careful (5, 2);
SET orm_ext.version_guard = 'off';
EXECUTE rename (6);
CREATE FUNCTION rename(key int) RETURNS void LANGUAGE plpgsql AS
	'BEGIN UPDATE post SET title = ''y'' WHERE id = key; END';
SELECT rename(5);
SET orm_ext.version_guard = 'warn';
SELECT rename(5);
SET orm_ext.version_guard = 'error';
SELECT rename(5);
\echo SQLSTATE :SQLSTATE
-- EXPLAIN plans as well
EXPLAIN (COSTS OFF) UPDATE post SET title = 'x' WHERE id = 1;
\echo SQLSTATE :SQLSTATE
-- values
SET orm_ext.version_guard = 'on';
SET orm_ext.version_guard = 'notice';
SHOW orm_ext.version_guard;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
