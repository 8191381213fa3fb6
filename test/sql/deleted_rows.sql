--
-- The ways to ask for deleted rows, from narrow to wide; and cached plans
-- follow every change of a setting, however it comes about.
--
CREATE SCHEMA soft;
SET search_path = soft;
CREATE TABLE post (id int PRIMARY KEY, title text, deleted_at timestamptz);
CREATE TABLE tag (post_id int, word text, deleted boolean NOT NULL DEFAULT false);
CREATE TRIGGER soft_delete BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON tag
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted');
INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 4) AS i;
INSERT INTO tag SELECT i, 'tag ' || i FROM generate_series(1, 4) AS i;
DELETE FROM post WHERE id > 2;
DELETE FROM tag WHERE post_id IN (1, 3);
CREATE VIEW posts AS SELECT string_agg(id::text, ' ' ORDER BY id) AS posts FROM post;
\pset format unaligned
\pset tuples_only on

--
-- The four ways
--
-- 1. mention the marker (see also mention.sql)
SELECT id FROM post WHERE deleted_at IS NOT NULL ORDER BY id;
SELECT id FROM post WHERE deleted_at IS NULL OR deleted_at < now() ORDER BY id;
UPDATE post SET deleted_at = NULL WHERE id = 3 RETURNING id;
DELETE FROM post WHERE id = 3;
-- 2. say so
SELECT id FROM post AS p WHERE orm_ext.with_deleted(p.deleted_at) ORDER BY id;
SELECT p.id, t.word FROM post AS p LEFT JOIN tag AS t ON t.post_id = p.id AND orm_ext.with_deleted(t.deleted) ORDER BY id;
SELECT orm_ext.with_deleted(NULL::timestamptz), orm_ext.with_deleted(false), orm_ext.with_deleted(0);
-- 3. a setting
SET orm_ext.deleted_rows = 'show';
TABLE posts;
SELECT p.id, t.word FROM post AS p FULL JOIN tag AS t ON t.post_id = p.id ORDER BY id;
SET orm_ext.deleted_rows = 'only';
TABLE posts;
SELECT p.id, t.word FROM post AS p FULL JOIN tag AS t ON t.post_id = p.id ORDER BY p.id, t.word;
SELECT id FROM post UNION ALL SELECT post_id FROM tag ORDER BY 1;
SET orm_ext.deleted_rows = 'hide';
TABLE posts;
-- who mentions the marker is in charge under any setting
SET orm_ext.deleted_rows = 'only';
SELECT id FROM post WHERE deleted_at IS NULL ORDER BY id;
SELECT id FROM post WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
RESET orm_ext.deleted_rows;
-- 4. row_security = off, as pg_dump has it
SET row_security = off;
TABLE posts;
SELECT count(*) FROM tag;
SET orm_ext.deleted_rows = 'only';
TABLE posts;
RESET orm_ext.deleted_rows;
RESET row_security;
TABLE posts;
-- no other value
SET orm_ext.deleted_rows = 'all';
SET orm_ext.deleted_rows = '';
SHOW orm_ext.deleted_rows;
SET orm_ext.no_such_setting = 1;

--
-- What is changed under each setting
--
BEGIN;
SET LOCAL orm_ext.deleted_rows = 'show';
WITH u AS (UPDATE post SET title = upper(title) RETURNING id, title) SELECT * FROM u ORDER BY id;
DELETE FROM post WHERE id IN (1, 3) RETURNING id;
DELETE FROM post WHERE id IN (1, 3) RETURNING id;
SELECT count(*) FROM post;
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.deleted_rows = 'only';
WITH u AS (UPDATE post SET title = upper(title) RETURNING id, title) SELECT * FROM u ORDER BY id;
DELETE FROM post RETURNING id;
UPDATE post SET deleted_at = NULL WHERE id = 4;
TABLE posts;
SET LOCAL orm_ext.deleted_rows = 'hide';
TABLE posts;
ROLLBACK;

--
-- Cached plans follow: prepared statements
--
PREPARE posts AS SELECT string_agg(id::text, ' ' ORDER BY id) FROM post;
PREPARE by_key (int) AS SELECT count(*) FROM post WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE posts;
EXECUTE by_key (4);
SET orm_ext.deleted_rows = 'show';
EXECUTE posts;
EXECUTE by_key (4);
SET orm_ext.deleted_rows = 'only';
EXECUTE posts;
EXECUTE by_key (4);
EXECUTE by_key (1);
RESET orm_ext.deleted_rows;
EXECUTE posts;
EXECUTE by_key (4);
-- SET LOCAL, and the ends of (sub)transactions
BEGIN;
SET LOCAL orm_ext.deleted_rows = 'show';
EXECUTE posts;
COMMIT;
EXECUTE posts;
BEGIN;
SET orm_ext.deleted_rows = 'only';
EXECUTE posts;
ROLLBACK;
EXECUTE posts;
BEGIN;
SAVEPOINT s;
SET LOCAL orm_ext.deleted_rows = 'show';
EXECUTE posts;
SAVEPOINT t;
SET LOCAL orm_ext.deleted_rows = 'only';
EXECUTE posts;
ROLLBACK TO t;
EXECUTE posts;
ROLLBACK TO s;
EXECUTE posts;
SAVEPOINT u;
SET LOCAL orm_ext.deleted_rows = 'only';
RELEASE u;
EXECUTE posts;
COMMIT;
EXECUTE posts;
-- an error half-way
BEGIN;
SET LOCAL orm_ext.deleted_rows = 'show';
SELECT 1 / 0;
ROLLBACK;
EXECUTE posts;
-- set_config, pg_settings, RESET ALL, DISCARD ALL
SELECT set_config('orm_ext.deleted_rows', 'show', false);
EXECUTE posts;
UPDATE pg_settings SET setting = 'only' WHERE name = 'orm_ext.deleted_rows';
EXECUTE posts;
RESET ALL;
SET search_path = soft;
EXECUTE posts;
SET orm_ext.deleted_rows = 'show';
DISCARD ALL;
SET search_path = soft;
TABLE posts;
PREPARE posts AS SELECT string_agg(id::text, ' ' ORDER BY id) FROM post;
EXECUTE posts;
-- row_security
SET row_security = off;
EXECUTE posts;
RESET row_security;
EXECUTE posts;
BEGIN;
SET LOCAL row_security = off;
EXECUTE posts;
ROLLBACK;
EXECUTE posts;

--
-- Cached plans follow: functions
--
CREATE FUNCTION in_plpgsql() RETURNS text LANGUAGE plpgsql STABLE AS
	'BEGIN RETURN (SELECT string_agg(id::text, '' '' ORDER BY id) FROM post); END';
CREATE FUNCTION in_sql() RETURNS text LANGUAGE sql STABLE
	BEGIN ATOMIC SELECT string_agg(id::text, ' ' ORDER BY id) FROM post; END;
CREATE FUNCTION showing() RETURNS text LANGUAGE plpgsql STABLE SET orm_ext.deleted_rows = 'show' AS
	'BEGIN RETURN in_plpgsql() || '', '' || in_sql(); END';
CREATE FUNCTION only_sql() RETURNS text LANGUAGE sql STABLE SET orm_ext.deleted_rows = 'only'
	AS 'SELECT in_plpgsql() || '', '' || string_agg(id::text, '' '' ORDER BY id) FROM post';
CREATE FUNCTION switching() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEXT in_plpgsql();
	SET LOCAL orm_ext.deleted_rows = 'show';
	RETURN NEXT in_plpgsql();
	BEGIN
		SET LOCAL orm_ext.deleted_rows = 'only';
		RETURN NEXT in_plpgsql();
		RAISE EXCEPTION 'back';
	EXCEPTION WHEN raise_exception THEN
		RETURN NEXT in_plpgsql();
	END;
	SET LOCAL orm_ext.deleted_rows = 'hide';
	RETURN NEXT in_plpgsql();
END
$$;
CREATE FUNCTION failing() RETURNS text LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' AS
	'BEGIN RETURN 1 / (length(in_plpgsql()) - 7); END';
SELECT in_plpgsql(), in_sql();
SELECT showing();
SELECT in_plpgsql(), in_sql();
SELECT only_sql();
SELECT in_plpgsql(), only_sql(), in_plpgsql(), showing(), in_plpgsql() FROM generate_series(1, 2);
SELECT switching();
SELECT in_plpgsql();
SELECT failing();
SELECT in_plpgsql();
SET orm_ext.deleted_rows = 'only';
SELECT in_plpgsql(), in_sql();
RESET orm_ext.deleted_rows;
SELECT in_plpgsql(), in_sql();
-- a procedure with transactions of its own
CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '%', in_plpgsql();
	SET LOCAL orm_ext.deleted_rows = 'show';
	RAISE NOTICE '%', in_plpgsql();
	COMMIT;
	RAISE NOTICE '%', in_plpgsql();
	SET orm_ext.deleted_rows = 'only';
	RAISE NOTICE '%', in_plpgsql();
	COMMIT;
	RAISE NOTICE '%', in_plpgsql();
	RESET orm_ext.deleted_rows;
	RAISE NOTICE '%', in_plpgsql();
END
$$;
CALL steps();
-- a view's function, an inlined one too
CREATE FUNCTION inlined() RETURNS SETOF post LANGUAGE sql STABLE AS 'SELECT * FROM post';
PREPARE inlined AS SELECT count(*) FROM inlined();
EXECUTE inlined;
SET orm_ext.deleted_rows = 'show';
EXECUTE inlined;
RESET orm_ext.deleted_rows;
EXECUTE inlined;

--
-- For a database or a role, from its next session on
--
SELECT current_user AS me \gset
ALTER DATABASE :"DBNAME" SET orm_ext.deleted_rows = 'only';
TABLE posts;
\c -
\pset format unaligned
\pset tuples_only on
SHOW orm_ext.deleted_rows;
SELECT * FROM soft.posts;
ALTER ROLE :"me" IN DATABASE :"DBNAME" SET orm_ext.deleted_rows = 'show';
\c -
SELECT * FROM soft.posts;
SET orm_ext.deleted_rows = 'hide';
SELECT * FROM soft.posts;
RESET orm_ext.deleted_rows;
SELECT * FROM soft.posts;
ALTER ROLE :"me" IN DATABASE :"DBNAME" RESET orm_ext.deleted_rows;
ALTER DATABASE :"DBNAME" RESET orm_ext.deleted_rows;
\c -
SELECT * FROM soft.posts;
ALTER DATABASE :"DBNAME" SET orm_ext.deleted_rows = 'everything';

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
