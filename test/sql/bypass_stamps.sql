--
-- orm_ext.bypass_stamps: the owner writes values as they are, in a backfill.
--
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_member IN ROLE regress_orm_owner;
CREATE ROLE regress_orm_client;
CREATE SCHEMA soft;
GRANT ALL ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE post (
	id int PRIMARY KEY, title text, version int, created_at timestamptz, updated_at timestamptz,
	created_by text, updated_by text, change_id bigint
);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at',
		'created_by=created_by', 'updated_by=updated_by', 'change_id=change_id', 'mode=strict', 'immutable=error');
ALTER TABLE post OWNER TO regress_orm_owner;
GRANT ALL ON post TO regress_orm_client;
SET orm_ext.actor = 'anna';
ALTER TABLE post DISABLE TRIGGER stamps;
INSERT INTO post VALUES (1, 'one', 5, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z', 'eve', 'fred', 1), (2, 'two', 6, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z', 'eve', 'fred', 2);
ALTER TABLE post ENABLE TRIGGER stamps;
SHOW orm_ext.bypass_stamps;

BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
-- UPDATE keeps all values as they are, or are given
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', version = 77, created_at = ''2003-01-01 00:00:00Z'', updated_at = ''2004-01-01 00:00:00Z'', created_by = ''gil'', updated_by = ''hal'', change_id = 7 WHERE id = 1');
SELECT compare.changes('UPDATE post SET version = 3, created_at = NULL, updated_by = NULL WHERE id = 1');
SELECT compare.changes('UPDATE post SET version = version, change_id = change_id');
-- INSERT fills what is not given
SELECT regexp_replace(compare.changes('INSERT INTO post VALUES (3)'), 'change_id \d+', 'change_id set');
SELECT compare.changes('INSERT INTO post VALUES (3, ''three'', 9, ''2003-01-01 00:00:00Z'', ''2004-01-01 00:00:00Z'', ''gil'', ''hal'', 7)');
SELECT compare.changes('INSERT INTO post (id, change_id, version) VALUES (1, 8, 9) ON CONFLICT (id) DO UPDATE SET change_id = excluded.change_id, version = excluded.version');
SELECT compare.changes('MERGE INTO post USING (VALUES (1)) AS v (id) ON v.id = post.id WHEN MATCHED THEN UPDATE SET version = 99');
COPY post FROM stdin;
4	four	3	2003-01-01 00:00:00Z	2004-01-01 00:00:00Z	gil	hal	7
\.
SELECT version, change_id, created_by FROM post WHERE id = 4;
-- no expected version is looked at
SET LOCAL orm_ext.expected_version = '99';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('DELETE FROM post WHERE id = 1');
ROLLBACK;
SELECT compare.changes('UPDATE post SET title = ''y'', version = 77');
SELECT left(compare.changes('UPDATE post SET created_at = now()'), 5);

-- who may: the table's owner, members of it, superusers
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1', 'regress_orm_owner');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1', 'regress_orm_member');
SELECT compare.refusal('UPDATE post SET title = ''x'' WHERE id = 1', 'regress_orm_client');
SELECT left(compare.changes('INSERT INTO post VALUES (3)', 'regress_orm_client'), 5);
SELECT left(compare.changes('INSERT INTO post (id, change_id) VALUES (3, 7)', 'regress_orm_client'), 5);
-- it is used where a row is written, not where it is set
SELECT compare.changes('SELECT count(*) FROM post', 'regress_orm_client');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE false', 'regress_orm_client');
COMMIT;
SET ROLE regress_orm_client;
SET orm_ext.bypass_stamps = on;
UPDATE post SET title = 'x' WHERE id = 1;
\echo SQLSTATE :SQLSTATE
CREATE TABLE own (id int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON own FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO own VALUES (1);
UPDATE own SET version = 7 RETURNING *;
DROP TABLE own;
RESET orm_ext.bypass_stamps;
RESET ROLE;
-- a client cannot bring it into another's function, nor get it from one
CREATE FUNCTION rewrite(key int) RETURNS SETOF int LANGUAGE sql SECURITY DEFINER SET search_path = soft, pg_temp SET orm_ext.bypass_stamps = on
	AS 'UPDATE post SET title = title || ''!'' WHERE id = key RETURNING version';
ALTER FUNCTION rewrite OWNER TO regress_orm_owner;
SELECT compare.changes('SELECT soft.rewrite(1)', 'regress_orm_client');
SELECT left(compare.changes('UPDATE post SET title = ''x'', version = 3 WHERE id = 1', 'regress_orm_client'), 5);

--
-- Rows out of a dump, told by settings that pg_dump and pg_restore always make
--
BEGIN;
SET LOCAL row_security = off;
SET LOCAL check_function_bodies = off;
SELECT compare.changes('INSERT INTO post VALUES (3)');
SELECT compare.changes('INSERT INTO post VALUES (3, ''three'', 9, ''2003-01-01 00:00:00Z'', ''2004-01-01 00:00:00Z'', ''gil'', NULL, 7)');
COPY post FROM stdin;
4	four	\N	2003-01-01 00:00:00Z	\N	\N	hal	7
\.
SELECT id, version, updated_at, created_by, updated_by, change_id FROM post WHERE id = 4;
-- which are no way round the stamps for others
SELECT regexp_replace(compare.changes('INSERT INTO post VALUES (3)', 'regress_orm_client'), 'change_id \d+', 'change_id set');
SELECT compare.changes('INSERT INTO post (id, change_id) VALUES (3, 7)', 'regress_orm_client') ~ 'change_id 7';
SELECT left(compare.changes('UPDATE post SET title = ''x'', version = 77 WHERE id = 1', 'regress_orm_client'), 5);
ROLLBACK;
-- a change_id that leaves no room for later ones
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
SELECT left(compare.changes('INSERT INTO post (id, change_id) VALUES (3, 9223372036854775807)'), 5);
ROLLBACK;

-- of a partition, the whole's owner
CREATE TABLE event (id int, kind text, version int) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('b');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO event VALUES (1, 'a', 5);
ALTER TABLE event OWNER TO regress_orm_owner;
ALTER TABLE event_a OWNER TO regress_orm_owner;
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
SELECT compare.changes('UPDATE event SET version = 9', 'regress_orm_owner');
SELECT compare.changes('UPDATE event SET version = 9, kind = ''b''');
COMMIT;

-- parents are not touched
CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post, body text);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON comment FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('post_id', 'updated_at');
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
INSERT INTO comment VALUES (1, 1);
COMMIT;
SELECT updated_at = '2002-01-01 00:00:00Z', version FROM post WHERE id = 1;

-- soft delete is another matter
CREATE TABLE note (id int PRIMARY KEY, version int, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO note VALUES (1, 5);
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
SELECT compare.changes('DELETE FROM note');
COMMIT;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_owner, regress_orm_member, regress_orm_client;
