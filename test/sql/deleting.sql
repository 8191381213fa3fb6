--
-- DELETE in every form: tag, row count and RETURNING are those of a DELETE,
-- what is to be seen afterwards too, and the rows are still there.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;

CALL compare.in_both($$
	CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL, deleted_at timestamptz);
	CREATE TABLE post (
		spare text,
		id int PRIMARY KEY,
		author_id int,
		title text,
		score int,
		deleted_at timestamptz,
		state text GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN 'live' ELSE 'gone' END) STORED
	);
	CREATE TABLE tag (post_id int, word text);
	INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 8) AS i;
	INSERT INTO post SELECT 's', i, i % 10, 'post ' || i % 7, i % 5 FROM generate_series(1, 40) AS i;
	INSERT INTO tag SELECT i % 45, 'tag ' || i % 4 FROM generate_series(1, 60) AS i;
	ALTER TABLE post DROP COLUMN spare;
	CREATE TABLE archive (LIKE post);
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.author
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');

--
-- What psql shows
--
SET search_path = soft;
\set QUIET off
DELETE FROM post WHERE id = 1;
DELETE FROM post WHERE id = 1;
DELETE FROM post WHERE id <= 3;
\echo ROW_COUNT :ROW_COUNT
DELETE FROM post WHERE id BETWEEN 4 AND 6 RETURNING *;
DELETE FROM post WHERE id < 7 RETURNING *;
WITH d AS (DELETE FROM post WHERE id = 7 RETURNING *) SELECT * FROM d;
WITH d AS (DELETE FROM post WHERE id = 8 RETURNING id) DELETE FROM author WHERE id IN (SELECT id FROM d);
BEGIN;
DELETE FROM author;
SELECT count(*) FROM author;
ROLLBACK;
BEGIN;
SAVEPOINT s;
DELETE FROM author WHERE id < 3;
ROLLBACK TO s;
DELETE FROM author WHERE id < 5;
DELETE FROM author WHERE id < 6;
COMMIT;
SELECT * FROM author ORDER BY id;
\set QUIET on
RESET search_path;
DELETE FROM twin.post WHERE id <= 8;
DELETE FROM twin.author WHERE id < 6 OR id = 8;
\pset format unaligned
\pset tuples_only on
SELECT compare.rows('SELECT * FROM author LEFT JOIN post ON post.author_id = author.id');

--
-- Forms of the statement
--
SELECT compare.effect('DELETE FROM post');
SELECT compare.effect('DELETE FROM post WHERE true');
SELECT compare.effect('DELETE FROM post WHERE false');
SELECT compare.effect('DELETE FROM ONLY post WHERE score = 2');
SELECT compare.effect('DELETE FROM post AS p WHERE p.score = 2');
SELECT compare.effect('DELETE FROM post WHERE id = 1');
SELECT compare.effect('DELETE FROM tag WHERE word = ''tag 1''');
SELECT compare.effect('DELETE FROM post WHERE id IN (SELECT post_id FROM tag)');
SELECT compare.effect('DELETE FROM post WHERE id NOT IN (SELECT post_id FROM tag WHERE post_id IS NOT NULL)');
SELECT compare.effect('DELETE FROM post AS p WHERE NOT EXISTS (SELECT FROM author AS a WHERE a.id = p.author_id)');
SELECT compare.effect('DELETE FROM post AS p WHERE score < (SELECT avg(score) FROM post AS q WHERE q.author_id = p.author_id)');
SELECT compare.effect('DELETE FROM tag WHERE post_id IN (SELECT id FROM post)');
SELECT compare.effect('DELETE FROM tag WHERE post_id NOT IN (SELECT id FROM post)');
SELECT compare.effect('DELETE FROM post WHERE 10 / (id - 5) > 0');
SELECT compare.effect('DELETE FROM post WHERE 10 / (id - 15) > 0');
SELECT compare.effect($$DELETE FROM post WHERE ctid = (SELECT ctid FROM post WHERE id = 20)$$);

-- USING: a row that is met twice is deleted once
SELECT compare.effect('DELETE FROM post AS p USING tag AS t WHERE t.post_id = p.id');
SELECT compare.effect('DELETE FROM post AS p USING author AS a WHERE a.id = p.author_id RETURNING p.id, a.name, p.*');
SELECT compare.effect('DELETE FROM post AS p USING post AS q WHERE q.id = p.id + 1 RETURNING p.id, q.id');
SELECT compare.effect('DELETE FROM post AS p USING author AS a LEFT JOIN tag AS t ON t.post_id = a.id WHERE a.id = p.author_id AND t.word IS NULL RETURNING p, a');
SELECT compare.effect('DELETE FROM post AS p USING post AS q WHERE q.id = p.id AND q.score = 3 RETURNING p.id, q.*');
SELECT compare.effect('DELETE FROM tag AS t USING post AS p WHERE p.id = t.post_id RETURNING *');
SELECT compare.effect('DELETE FROM post AS p USING (SELECT author_id, max(score) AS best FROM post GROUP BY 1) AS m WHERE m.author_id = p.author_id AND p.score = m.best RETURNING id');

-- RETURNING
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING *');
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING post');
SELECT compare.effect('DELETE FROM post AS p WHERE score = 1 RETURNING p.*, p, (p).title, row_to_json(p)');
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING deleted_at, state, deleted_at IS NULL, state || title');
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING tableoid = ''post''::regclass, ctid IS NOT NULL');
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING id, (SELECT count(*) FROM post), (SELECT name FROM author WHERE author.id = author_id)');
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING (SELECT max(p.id) FROM post AS p WHERE p.deleted_at IS NOT DISTINCT FROM post.deleted_at AND p.state = post.state)');
SELECT compare.effect('DELETE FROM post WHERE score = 1 RETURNING 1 / (id - 21)');
SELECT compare.effect('DELETE FROM post WHERE id = 1 RETURNING *');

-- common table expressions
SELECT compare.effect('WITH d AS (DELETE FROM post WHERE score = 3 RETURNING *) SELECT * FROM d');
SELECT compare.effect('WITH d AS (DELETE FROM post WHERE score = 3 RETURNING *) INSERT INTO archive SELECT * FROM d');
SELECT compare.effect('WITH d AS (DELETE FROM post WHERE score = 3 RETURNING *) SELECT (SELECT count(*) FROM post), (SELECT count(*) FROM d)');
SELECT compare.effect('WITH d AS (DELETE FROM author RETURNING id) DELETE FROM post USING d WHERE d.id = author_id RETURNING post.id');
SELECT compare.effect('WITH d AS (DELETE FROM author RETURNING id), e AS (DELETE FROM post WHERE author_id IN (SELECT id FROM d) RETURNING id) DELETE FROM tag WHERE post_id IN (SELECT id FROM e)');
SELECT compare.effect('WITH d AS (DELETE FROM post WHERE score = 3) UPDATE author SET name = upper(name)');
SELECT compare.effect('WITH old AS (SELECT id FROM post ORDER BY id LIMIT 5) DELETE FROM post WHERE id IN (SELECT id FROM old) RETURNING id');
SELECT compare.effect('WITH old AS (SELECT id FROM post ORDER BY id LIMIT 5 FOR UPDATE) DELETE FROM post USING old WHERE post.id = old.id RETURNING post.id');
SELECT compare.effect('WITH RECURSIVE up AS (SELECT 40 AS id UNION ALL SELECT id / 2 FROM up WHERE id > 1) DELETE FROM post USING up WHERE post.id = up.id RETURNING *');
SELECT compare.effect('WITH u AS (UPDATE post SET score = 9 WHERE id = 9 RETURNING id) DELETE FROM post WHERE id IN (SELECT id + 1 FROM u) RETURNING id');

--
-- Through views
--
CALL compare.in_both($$
	CREATE VIEW good AS SELECT id AS key, title AS heading, author_id FROM post WHERE score > 1;
	CREATE VIEW checked AS SELECT id, title, score FROM post WHERE score > 1 WITH CHECK OPTION;
	CREATE VIEW careful AS SELECT * FROM post WHERE deleted_at IS NULL WITH CASCADED CHECK OPTION;
	CREATE VIEW barrier WITH (security_barrier) AS SELECT id, title, score, deleted_at FROM post WHERE score > 1;
	CREATE VIEW on_top AS SELECT heading, key FROM good WHERE key > 20;
	CREATE VIEW joined AS SELECT p.id, a.name FROM post AS p JOIN author AS a ON a.id = p.author_id;
	CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM post WHERE id = old.id; RETURN old; END';
	CREATE TRIGGER leave INSTEAD OF DELETE ON joined FOR EACH ROW EXECUTE FUNCTION leave();
	CREATE VIEW counted AS SELECT author_id, count(*) FROM post GROUP BY 1;
$$);
SELECT compare.effect('DELETE FROM good');
SELECT compare.effect('DELETE FROM good WHERE key < 20 RETURNING *');
SELECT compare.effect('DELETE FROM good WHERE key < 20 RETURNING good');
SELECT compare.effect('DELETE FROM good AS g USING author AS a WHERE a.id = g.author_id RETURNING g.key, a.name');
SELECT compare.effect('DELETE FROM checked WHERE id > 30 RETURNING *');
SELECT compare.effect('DELETE FROM careful WHERE id > 30 RETURNING *');
SELECT compare.effect('DELETE FROM barrier WHERE id > 30 RETURNING *');
SELECT compare.effect('DELETE FROM on_top RETURNING *');
SELECT compare.effect('WITH d AS (DELETE FROM on_top RETURNING *) SELECT count(*), min(heading) FROM d');
SELECT compare.effect('DELETE FROM joined WHERE id > 30 RETURNING *');
SELECT compare.effect('DELETE FROM counted');
SELECT compare.effect('DELETE FROM post USING good WHERE good.key = post.id');

--
-- In functions
--
CALL compare.in_both($$
	CREATE FUNCTION in_sql(n int) RETURNS SETOF post LANGUAGE sql
		AS 'DELETE FROM post WHERE score = n RETURNING *';
	CREATE FUNCTION in_body(n int) RETURNS SETOF int LANGUAGE sql
		BEGIN ATOMIC DELETE FROM post WHERE score = n; DELETE FROM author WHERE id = n + 4 RETURNING id; END;
	CREATE FUNCTION not_volatile(n int) RETURNS SETOF post LANGUAGE sql STABLE
		AS 'DELETE FROM post WHERE score = n RETURNING *';
	CREATE FUNCTION in_plpgsql(n int) RETURNS SETOF text LANGUAGE plpgsql AS $f$
	DECLARE
		r post;
		k int;
		position refcursor;
	BEGIN
		DELETE FROM post WHERE score = n;
		GET DIAGNOSTICS k = ROW_COUNT;
		RETURN NEXT 'deleted ' || k || ', found ' || FOUND;
		DELETE FROM post WHERE score = n;
		GET DIAGNOSTICS k = ROW_COUNT;
		RETURN NEXT 'deleted ' || k || ', found ' || FOUND;
		DELETE FROM post WHERE id = 40 RETURNING * INTO r;
		RETURN NEXT r::text || ', found ' || FOUND;
		DELETE FROM post WHERE id = 40 RETURNING * INTO r;
		RETURN NEXT coalesce(r::text, 'null') || ', found ' || FOUND;
		FOR r IN DELETE FROM post WHERE id > 37 RETURNING * LOOP
			RETURN NEXT r::text;
		END LOOP;
		EXECUTE 'DELETE FROM post WHERE id = $1' USING 36;
		GET DIAGNOSTICS k = ROW_COUNT;
		RETURN NEXT 'dynamic ' || k;
		OPEN position FOR SELECT * FROM post WHERE id BETWEEN 33 AND 35 FOR UPDATE;
		LOOP
			FETCH position INTO r;
			EXIT WHEN NOT FOUND;
			DELETE FROM post WHERE CURRENT OF position RETURNING id INTO k;
			RETURN NEXT 'current ' || k;
		END LOOP;
		CLOSE position;
		RETURN QUERY DELETE FROM author RETURNING name;
		RETURN NEXT 'found ' || FOUND;
		DELETE FROM post WHERE id = 36 RETURNING * INTO STRICT r;
	EXCEPTION WHEN no_data_found THEN
		RETURN NEXT 'gone with the exception';
	END
	$f$;
	CREATE PROCEDURE in_procedure() LANGUAGE plpgsql AS 'BEGIN DELETE FROM post WHERE id > 30; END';
$$);
SELECT compare.effect('SELECT * FROM in_sql(2)');
SELECT compare.effect('SELECT in_sql(2)');
SELECT compare.effect('SELECT * FROM in_body(2)');
SELECT compare.effect('SELECT * FROM not_volatile(2)');
SELECT compare.effect('SELECT * FROM in_plpgsql(2)');
SELECT compare.effect('CALL in_procedure()');
SELECT compare.effect('DO $f$ BEGIN DELETE FROM post WHERE id > 20; DELETE FROM author; END $f$');
SELECT compare.effect('INSERT INTO archive SELECT * FROM in_sql(3)');

--
-- Prepared, WHERE CURRENT OF, and where nothing may be written
--
\pset tuples_only off
\pset format aligned
\set QUIET off
SET search_path = soft;
PREPARE leave (int) AS DELETE FROM post WHERE id = $1 RETURNING id, title, state;
EXECUTE leave (9);
EXECUTE leave (9);
SET plan_cache_mode = force_generic_plan;
EXECUTE leave (10);
EXECUTE leave (11);
EXECUTE leave (11);
RESET plan_cache_mode;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post ORDER BY id FOR UPDATE;
FETCH 2 FROM c;
DELETE FROM post WHERE CURRENT OF c RETURNING id;
DELETE FROM post WHERE CURRENT OF c;
UPDATE post SET score = 0 WHERE CURRENT OF c;
FETCH 1 FROM c;
UPDATE post SET score = 8 WHERE CURRENT OF c;
DELETE FROM post WHERE CURRENT OF c RETURNING id, score;
COMMIT;
BEGIN READ ONLY;
DELETE FROM post;
ROLLBACK;
\set QUIET on
RESET search_path;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.post;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
