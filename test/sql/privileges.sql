--
-- Privileges: a soft DELETE asks for what a DELETE asks for, reading for what
-- reading asks for; the marker itself needs no grant.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CREATE ROLE regress_orm_reader;
CREATE ROLE regress_orm_deleter;
CREATE ROLE regress_orm_writer;
CREATE ROLE regress_orm_owner;
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, title text, secret text, deleted_at timestamptz);
	INSERT INTO post SELECT i, 'post ' || i, 's' FROM generate_series(1, 12) AS i;
	CREATE TABLE tag (post_id int, word text);
	INSERT INTO tag SELECT i, 'tag ' || i FROM generate_series(1, 12) AS i;
	GRANT SELECT ON post, tag TO regress_orm_reader;
	GRANT DELETE ON post TO regress_orm_deleter;
	GRANT SELECT (id, title) ON post TO regress_orm_deleter;
	GRANT SELECT, INSERT, UPDATE ON post TO regress_orm_writer;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
GRANT USAGE ON SCHEMA soft, twin TO PUBLIC;
CALL compare.in_both('DELETE FROM post WHERE id > 9');
\pset format unaligned
\pset tuples_only on

-- reading only
SELECT compare.as_role('regress_orm_reader', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_reader', 'DELETE FROM post WHERE id = 1');
SELECT compare.as_role('regress_orm_reader', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_reader', 'UPDATE post SET title = NULL');
SELECT compare.as_role('regress_orm_reader', 'MERGE INTO post USING (SELECT 1) AS v ON true WHEN MATCHED THEN DELETE');
-- DELETE without UPDATE, and with SELECT on some columns, the marker not among them
SELECT compare.as_role('regress_orm_deleter', 'SELECT id, title FROM post');
SELECT compare.as_role('regress_orm_deleter', 'SELECT count(*) FROM post');
SELECT compare.as_role('regress_orm_deleter', 'SELECT p.id FROM post AS p LEFT JOIN post AS q ON q.id = p.id + 1');
SELECT compare.as_role('regress_orm_deleter', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_deleter', 'SELECT id FROM post WHERE deleted_at IS NULL');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM post WHERE id < 4');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM post WHERE id < 4 RETURNING id, title');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM post WHERE id < 4 RETURNING *');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM post WHERE secret = ''s''');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM post USING tag WHERE tag.post_id = post.id');
SELECT compare.as_role('regress_orm_deleter', 'WITH d AS (DELETE FROM post WHERE id = 2 RETURNING id) SELECT * FROM d');
SELECT compare.as_role('regress_orm_deleter', 'MERGE INTO post USING (SELECT 1 AS id) AS v ON v.id = post.id WHEN MATCHED THEN DELETE');
SELECT compare.as_role('regress_orm_deleter', 'UPDATE post SET title = NULL');
SELECT compare.as_role('regress_orm_deleter', 'UPDATE post SET deleted_at = now() WHERE id = 1');
SELECT compare.as_role('regress_orm_deleter', 'TRUNCATE post');
-- UPDATE without DELETE
SELECT compare.as_role('regress_orm_writer', 'DELETE FROM post WHERE id = 1');
SELECT compare.as_role('regress_orm_writer', 'WITH d AS (DELETE FROM post WHERE id = 1) SELECT 1');
SELECT compare.as_role('regress_orm_writer', 'UPDATE post SET title = id::text WHERE id > 5');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING (SELECT 1 AS id) AS v ON v.id = post.id WHEN MATCHED THEN DELETE');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING (SELECT 1 AS id) AS v ON v.id = post.id WHEN MATCHED THEN UPDATE SET title = ''merged''');
-- each action of a MERGE asks for its own privilege
CALL compare.in_both('GRANT DELETE ON post TO regress_orm_writer');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING generate_series(1, 4) AS g ON g = post.id WHEN MATCHED AND g > 2 THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''merged''');
CALL compare.in_both('REVOKE UPDATE ON post FROM regress_orm_writer');
CALL compare.in_both('GRANT UPDATE (title) ON post TO regress_orm_writer');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING generate_series(1, 4) AS g ON g = post.id WHEN MATCHED AND g > 2 THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''merged''');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING generate_series(1, 4) AS g ON g = post.id WHEN MATCHED AND g > 2 THEN DELETE WHEN MATCHED THEN UPDATE SET secret = ''merged''');
CALL compare.in_both('REVOKE UPDATE (title) ON post FROM regress_orm_writer');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING generate_series(1, 4) AS g ON g = post.id WHEN MATCHED AND g > 2 THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''merged''');
SELECT compare.as_role('regress_orm_writer', 'MERGE INTO post USING generate_series(1, 4) AS g ON g = post.id WHEN MATCHED AND g > 2 THEN DELETE');
CALL compare.in_both('REVOKE DELETE ON post FROM regress_orm_writer');
-- a prepared DELETE asks anew when it is run
GRANT DELETE ON soft.post TO regress_orm_writer;
SET ROLE regress_orm_writer;
PREPARE leave AS DELETE FROM soft.post WHERE id = 9 RETURNING id;
RESET ROLE;
REVOKE DELETE ON soft.post FROM regress_orm_writer;
SET ROLE regress_orm_writer;
EXECUTE leave;
RESET ROLE;

-- hard deletes need no more than DELETE; the bin, SELECT on the marker that it names
SET ROLE regress_orm_deleter;
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
DELETE FROM soft.post WHERE id = 1 RETURNING id;
ROLLBACK;
SET orm_ext.deleted_rows = 'show';
SELECT count(*) FROM soft.post;
RESET orm_ext.deleted_rows;
DELETE FROM soft.post WHERE deleted_at IS NOT NULL;
RESET ROLE;

-- views: the owner's rights count for the table, unless the view is the invoker's
CALL compare.in_both($$
	CREATE VIEW posts AS SELECT id, title FROM post;
	CREATE VIEW posts_invoker WITH (security_invoker) AS SELECT id, title FROM post;
	ALTER VIEW posts OWNER TO regress_orm_owner;
	GRANT SELECT, DELETE ON post TO regress_orm_owner;
	GRANT SELECT, DELETE ON posts, posts_invoker TO regress_orm_reader;
$$);
SELECT compare.as_role('regress_orm_reader', 'SELECT * FROM posts');
SELECT compare.as_role('regress_orm_reader', 'DELETE FROM posts WHERE id = 1 RETURNING *');
SELECT compare.as_role('regress_orm_reader', 'DELETE FROM posts_invoker WHERE id = 1 RETURNING *');
SELECT compare.as_role('regress_orm_deleter', 'DELETE FROM posts WHERE id = 1');
CALL compare.in_both('REVOKE DELETE ON post FROM regress_orm_owner');
SELECT compare.as_role('regress_orm_reader', 'DELETE FROM posts WHERE id = 1');
SELECT compare.as_role('regress_orm_reader', 'SELECT * FROM posts');

-- SECURITY DEFINER
CALL compare.in_both($$
	CREATE FUNCTION leave(key int) RETURNS bigint LANGUAGE sql SECURITY DEFINER
		BEGIN ATOMIC WITH d AS (DELETE FROM post WHERE id = key RETURNING id) SELECT count(*) FROM d; END;
	CREATE FUNCTION leave_invoker(key int) RETURNS bigint LANGUAGE plpgsql
		AS 'DECLARE n bigint; BEGIN DELETE FROM post WHERE id = key; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END';
$$);
SELECT compare.as_role('regress_orm_reader', 'SELECT leave(1)');
SELECT compare.as_role('regress_orm_reader', 'SELECT leave(12)');
SELECT compare.as_role('regress_orm_reader', 'SELECT leave_invoker(1)');
SELECT compare.as_role('regress_orm_deleter', 'SELECT leave_invoker(1)');

-- the extension's own objects
SET ROLE regress_orm_reader;
SELECT orm_ext.with_deleted(NULL::timestamptz);
SELECT "table", "column" FROM orm_ext.managed;
SELECT count(*) > 0 FROM orm_ext.status();
SELECT orm_ext.enable_soft_delete('soft.tag');
SELECT orm_ext.disable_soft_delete('soft.post');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.tag
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
RESET ROLE;
-- an owner who is no superuser can do it all
GRANT CREATE ON SCHEMA soft TO regress_orm_owner;
SET ROLE regress_orm_owner;
CREATE TABLE soft.own (id int PRIMARY KEY, email text UNIQUE);
SELECT orm_ext.enable_soft_delete('soft.own');
INSERT INTO soft.own VALUES (1, 'a'), (2, 'b');
DELETE FROM soft.own WHERE id = 1;
SELECT * FROM soft.own;
ALTER TABLE soft.own RENAME COLUMN deleted_at TO gone;
DELETE FROM soft.own WHERE gone IS NOT NULL;
SELECT orm_ext.disable_soft_delete('soft.own', 'all');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP ROLE regress_orm_reader, regress_orm_deleter, regress_orm_writer, regress_orm_owner;
