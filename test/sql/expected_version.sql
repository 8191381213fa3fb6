--
-- orm_ext.expected_version: for clients that cannot put the version into their
-- statement's conditions.
--
CREATE ROLE regress_orm_client;
CREATE SCHEMA soft;
CREATE SCHEMA twin;
GRANT USAGE ON SCHEMA soft, twin TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, title text, hits int, version int);
	INSERT INTO post VALUES (1, 'one', 1, 5), (2, 'two', 2, 6), (3, 'three', 3, 5), (4, 'four', 4, NULL);
	CREATE TABLE free (id int PRIMARY KEY, title text);
	INSERT INTO free VALUES (1, 'one');
	GRANT ALL ON post, free TO regress_orm_client;
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'ignore=hits');
SHOW orm_ext.expected_version;

-- UPDATE
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
SET LOCAL compare.left_out = 'version';
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 1 RETURNING id, title');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.refusal('UPDATE post SET title = ''x'' WHERE id = 2');
-- all rows of a statement, or none
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id IN (1, 3)');
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id IN (1, 2, 3)'), 5);
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 9');
-- a row without a change, or with an ignored one, is looked at as well
SELECT compare.changes('UPDATE post SET title = title WHERE id = 1');
SELECT left(compare.changes('UPDATE post SET title = title WHERE id = 2'), 5);
SELECT left(compare.changes('UPDATE post SET hits = 9 WHERE id = 2'), 5);
-- a row without a version has another one
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 4'), 5);
-- together with a listed version
SELECT compare.changes('UPDATE post SET title = ''x'', version = 6 WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', version = version + 1 WHERE id = 1');
SELECT left(compare.changes('UPDATE post SET title = ''x'', version = 7 WHERE id = 2'), 5);
SELECT left(compare.changes('UPDATE post SET title = ''x'', version = 7 WHERE id = 1'), 5);
-- DELETE, though the trigger fires on none
SELECT compare.effect('DELETE FROM post WHERE id = 1');
SELECT compare.effect('DELETE FROM post WHERE id = 1 RETURNING *');
SELECT compare.refusal('DELETE FROM post WHERE id = 2');
SELECT left(compare.changes('DELETE FROM post WHERE id < 3'), 5);
SELECT left(compare.changes('WITH d AS (DELETE FROM post WHERE id = 2 RETURNING id) SELECT * FROM d'), 5);
-- other ways
SELECT left(compare.changes('INSERT INTO post VALUES (2) ON CONFLICT (id) DO UPDATE SET title = ''x'''), 5);
SELECT compare.changes('INSERT INTO post VALUES (1) ON CONFLICT (id) DO UPDATE SET title = ''x''');
SELECT compare.changes('INSERT INTO post VALUES (9)');
SELECT left(compare.changes('MERGE INTO post USING (VALUES (1), (2)) AS v (id) ON v.id = post.id WHEN MATCHED THEN UPDATE SET title = ''x'''), 5);
SELECT left(compare.changes('MERGE INTO post USING (VALUES (1), (2)) AS v (id) ON v.id = post.id WHEN MATCHED THEN DELETE'), 5);
SELECT compare.changes('MERGE INTO post USING (VALUES (1), (3)) AS v (id) ON v.id = post.id WHEN MATCHED AND v.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''x''');
-- tables without a version do not mind
SELECT compare.effect('UPDATE free SET title = ''x''');
SELECT compare.effect('DELETE FROM free');
COMMIT;

-- rows that the transaction has written itself have a version that the client could not know
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
UPDATE post SET title = 'a' WHERE id = 1 RETURNING version;
UPDATE post SET title = 'b' WHERE id = 1 RETURNING version;
INSERT INTO post VALUES (9, 'nine') RETURNING version;
UPDATE post SET title = 'x' WHERE id = 9 RETURNING version;
SAVEPOINT s;
UPDATE post SET title = 'c' WHERE id = 1 RETURNING version;
ROLLBACK TO s;
UPDATE post SET title = 'd' WHERE id = 1 RETURNING version;
DELETE FROM post WHERE id IN (1, 9) RETURNING id, version;
UPDATE post SET title = 'x' WHERE id = 2;
\echo SQLSTATE :SQLSTATE
ROLLBACK;
-- those of a savepoint that was rolled back are others' again
BEGIN;
SAVEPOINT s;
UPDATE post SET title = 'a' WHERE id = 2;
ROLLBACK TO s;
SET LOCAL orm_ext.expected_version = '5';
UPDATE post SET title = 'a' WHERE id = 2;
\echo SQLSTATE :SQLSTATE
ROLLBACK;
-- it is gone with the transaction
UPDATE post SET title = 'two' WHERE id = 2;

-- only the client's own statements are meant, not those of triggers and foreign keys
CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post ON UPDATE CASCADE ON DELETE CASCADE, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE OR DELETE ON comment FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO comment VALUES (1, 1, 77), (2, 3, 77);
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE comment SET version = version + 1 WHERE post_id = new.id;
	RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER UPDATE OF title ON post FOR EACH ROW EXECUTE FUNCTION follow();
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('UPDATE post SET id = 11 WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('DELETE FROM post WHERE id = 1');
SELECT left(compare.changes('UPDATE comment SET post_id = 3'), 5);
SELECT left(compare.changes('DELETE FROM comment'), 5);
-- statements of functions are the client's
CREATE FUNCTION rename(key int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE post SET title = 'x' WHERE id = key;
	RETURN found;
END
$$;
SELECT compare.changes('SELECT rename(1)');
SELECT left(compare.changes('SELECT rename(2)'), 5);
ROLLBACK;
DROP TRIGGER follow ON post;
DROP TABLE comment;

-- modes: in echo it stands for the version that the statement does not list
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
BEGIN;
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 1'), 5);
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 2'), 5);
COMMIT;
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=strict');
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 2'), 5);
COMMIT;

-- with the trigger on DELETE, as where the library is not loaded beforehand
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE OR DELETE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
BEGIN;
SELECT compare.changes('DELETE FROM post WHERE id = 2');
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('DELETE FROM post WHERE id = 1');
SELECT compare.refusal('DELETE FROM post WHERE id = 2');
COMMIT;

-- types: the text is read and compared as in a condition
CREATE TABLE moment (id int PRIMARY KEY, a int, version timestamptz(3));
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON moment FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO moment VALUES (1, 1, '2001-02-03 04:05:06.789Z');
CREATE TABLE token (id int PRIMARY KEY, a int, version uuid);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON token FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO token VALUES (1, 1, '00000000-0000-0000-0000-00000000000a');
BEGIN;
SET LOCAL orm_ext.expected_version = '2001-02-03 05:05:06.789+01';
SELECT compare.changes('UPDATE moment SET a = 2');
SET LOCAL orm_ext.expected_version = '2001-02-03 05:05:06.7891+01';
SELECT left(compare.changes('UPDATE moment SET a = 2'), 5);
SET LOCAL orm_ext.expected_version = '2001-02-03 04:05:06Z';
SELECT left(compare.changes('UPDATE moment SET a = 2'), 5);
SET LOCAL orm_ext.expected_version = '{0000000000000000000000000000000A}';
SELECT compare.changes('UPDATE token SET a = 2');
SET LOCAL orm_ext.expected_version = ' 5 ';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
-- what cannot be one is an error of its own
SELECT compare.refusal('UPDATE token SET a = 2');
SET LOCAL orm_ext.expected_version = 'five';
SELECT compare.refusal('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.refusal('UPDATE moment SET a = 2');
SET LOCAL orm_ext.expected_version = '99999999999';
SELECT compare.refusal('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('UPDATE free SET title = ''x''');
COMMIT;

-- soft delete
CREATE TABLE note (id int PRIMARY KEY, a int, version int, deleted_at timestamptz);
INSERT INTO note VALUES (1, 1, 5), (2, 2, 6);
CREATE TRIGGER gone BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('DELETE FROM note WHERE id = 1');
SELECT compare.refusal('DELETE FROM note WHERE id = 2');
SET LOCAL orm_ext.delete_mode = 'hard';
SELECT compare.changes('DELETE FROM note WHERE id = 1');
SELECT left(compare.changes('DELETE FROM note WHERE id = 2'), 5);
COMMIT;

-- partitions and views
CREATE TABLE event (id int, kind text, version int) PARTITION BY LIST (kind);
CREATE TABLE event_a (version int, kind text, id int);
ALTER TABLE event ATTACH PARTITION event_a FOR VALUES IN ('a');
CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('b');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO event VALUES (1, 'a', 5), (2, 'a', 6);
CREATE VIEW events AS SELECT id AS number, kind FROM event;
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('UPDATE events SET kind = ''b'' WHERE number = 1');
SELECT left(compare.changes('UPDATE events SET kind = ''b'' WHERE number = 2'), 5);
SELECT compare.changes('DELETE FROM events WHERE number = 1');
SELECT left(compare.changes('DELETE FROM events WHERE number = 2'), 5);
SELECT left(compare.changes('DELETE FROM event_a WHERE id = 2'), 5);
COMMIT;

-- prepared statements see the setting of their execution
PREPARE rename AS UPDATE post SET title = 'x' WHERE id = 2 RETURNING id;
PREPARE leave AS DELETE FROM post WHERE id = 2 RETURNING id;
SET plan_cache_mode = force_generic_plan;
BEGIN;
EXECUTE rename;
ROLLBACK;
BEGIN;
EXECUTE leave;
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
EXECUTE rename;
\echo SQLSTATE :SQLSTATE
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
EXECUTE leave;
\echo SQLSTATE :SQLSTATE
ROLLBACK;
BEGIN;
EXECUTE leave;
ROLLBACK;

-- anybody may use it, and it changes no privilege
BEGIN;
SET LOCAL ROLE regress_orm_client;
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
COMMIT;
REVOKE DELETE ON post FROM regress_orm_client;
REVOKE SELECT ON post FROM regress_orm_client;
BEGIN;
SET LOCAL orm_ext.expected_version = '5';
SELECT compare.changes('DELETE FROM post', 'regress_orm_client');
SELECT compare.changes('UPDATE post SET title = ''x''', 'regress_orm_client');
COMMIT;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP ROLE regress_orm_client;
