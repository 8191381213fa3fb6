--
-- Views, rules, functions and prepared statements over tables under soft
-- delete show live rows, whoever wrote them and when.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;

CALL compare.in_both($$
	CREATE TABLE author (
		id int PRIMARY KEY,
		name text NOT NULL,
		deleted_at timestamptz
	);
	CREATE TABLE post (
		id int PRIMARY KEY,
		author_id int,
		title text,
		score int,
		deleted_at timestamptz
	);
	CREATE TABLE log (line text);
	INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 6) AS i;
	INSERT INTO post SELECT i, i % 8, 'post ' || i % 7, i % 5 FROM generate_series(1, 40) AS i;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.author
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CALL compare.in_both('DELETE FROM author WHERE id IN (2, 5)');
CALL compare.in_both('DELETE FROM post WHERE id % 4 = 1');
\pset format unaligned
\pset tuples_only on

--
-- Views
--
CALL compare.in_both('CREATE VIEW good AS SELECT id AS key, title, score, author_id, deleted_at FROM post WHERE score > 1');
SELECT compare.rows('SELECT * FROM good');
SELECT compare.rows('SELECT good FROM good WHERE key < 10');
SELECT compare.rows('SELECT a.id, g.key FROM author AS a LEFT JOIN good AS g ON g.author_id = a.id');
SELECT compare.rows('SELECT key FROM good FOR UPDATE');

CALL compare.in_both('CREATE VIEW better AS SELECT g.key, g.title FROM good AS g WHERE g.score > 2');
SELECT compare.rows('SELECT * FROM better');

CALL compare.in_both('CREATE VIEW per_author AS SELECT a.id, a.name, count(p.id) AS posts FROM author AS a LEFT JOIN post AS p ON p.author_id = a.id GROUP BY a.id');
SELECT compare.rows('SELECT * FROM per_author');
SELECT compare.rows('SELECT sum(posts) FROM per_author WHERE id <> 3');

CALL compare.in_both('CREATE VIEW everything AS SELECT id, name FROM author UNION ALL SELECT id, title FROM post');
SELECT compare.rows('SELECT * FROM everything WHERE id < 9');
SELECT compare.rows('SELECT count(*) FROM everything AS e JOIN author AS a USING (id)');

-- nothing of a deleted row reaches a function that tells
CALL compare.in_both($$
	CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
	AS $f$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $f$;
	CREATE VIEW barrier WITH (security_barrier) AS SELECT id, title, score FROM post WHERE id < 7;
	CREATE VIEW invoked WITH (security_invoker) AS SELECT id, title, score FROM post WHERE id < 7;
$$);
SELECT compare.rows('SELECT * FROM barrier');
SELECT compare.rows('SELECT * FROM invoked');
SELECT compare.rows('SELECT * FROM barrier WHERE tell(title)');
SELECT compare.rows('SELECT b.id, a.name FROM barrier AS b LEFT JOIN author AS a ON a.id = b.id');

-- a view of the bin shows it, to whoever reads the view
CREATE VIEW soft.bin AS SELECT id FROM soft.post WHERE deleted_at IS NOT NULL;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.bin;
SELECT string_agg(b.id || coalesce(' ' || p.id, ''), ', ' ORDER BY b.id)
	FROM soft.bin AS b LEFT JOIN soft.post AS p USING (id);

--
-- Rules
--
CALL compare.in_both($$
	CREATE RULE also AS ON DELETE TO author DO ALSO
		INSERT INTO log VALUES ('bye ' || old.name || ', ' || (SELECT count(*) FROM post AS p WHERE p.author_id = old.id));
	CREATE RULE never AS ON UPDATE TO author WHERE old.id = 1 DO INSTEAD NOTHING;
	CREATE VIEW ruled AS SELECT id, title FROM post;
	CREATE RULE gone AS ON DELETE TO ruled DO INSTEAD DELETE FROM post WHERE id = old.id RETURNING old.id, title;
	CREATE RULE changed AS ON UPDATE TO ruled DO INSTEAD UPDATE post SET title = new.title WHERE id = old.id;
$$);
SELECT compare.rows('SELECT * FROM ruled');
SELECT compare.effect('DELETE FROM author WHERE id IN (1, 2, 3)');
SELECT compare.effect('UPDATE author SET name = upper(name)');
SELECT compare.effect('DELETE FROM ruled WHERE id < 9');
SELECT compare.effect('DELETE FROM ruled WHERE id < 9 RETURNING *');
SELECT compare.effect('UPDATE ruled SET title = id::text');
SELECT compare.effect('WITH d AS (DELETE FROM ruled WHERE id > 20 RETURNING *) INSERT INTO log SELECT title FROM d');

--
-- SQL functions, inlined and not
--
CALL compare.in_both($$
	CREATE FUNCTION of_string(lowest int) RETURNS SETOF post LANGUAGE sql STABLE
		AS 'SELECT * FROM post WHERE score >= lowest';
	CREATE FUNCTION of_body(lowest int) RETURNS SETOF post LANGUAGE sql STABLE
		BEGIN ATOMIC SELECT * FROM post WHERE score >= lowest; END;
	CREATE FUNCTION of_table(lowest int) RETURNS TABLE (id int, title text) LANGUAGE sql STABLE
		AS 'SELECT p.id, p.title FROM of_body(lowest) AS p';
	CREATE FUNCTION not_inlined(lowest int) RETURNS SETOF post LANGUAGE sql VOLATILE
		AS 'SELECT * FROM post WHERE score >= lowest';
	CREATE FUNCTION one_row(key int) RETURNS post LANGUAGE sql STABLE
		BEGIN ATOMIC SELECT * FROM post WHERE id = key; END;
	CREATE FUNCTION title_of(key int) RETURNS text LANGUAGE sql STABLE
		AS 'SELECT title FROM post WHERE id = key';
	CREATE FUNCTION both_kinds() RETURNS TABLE (id int, name text) LANGUAGE sql STABLE
		AS 'SELECT id, name FROM author UNION ALL SELECT id, title FROM post';
$$);
SELECT compare.rows('SELECT * FROM of_string(3)');
SELECT compare.rows('SELECT * FROM of_body(3)');
SELECT compare.rows('SELECT f FROM of_body(3) AS f WHERE f.id < 20');
SELECT compare.rows('SELECT * FROM of_table(2)');
SELECT compare.rows('SELECT * FROM not_inlined(3)');
SELECT compare.rows('SELECT * FROM of_string(3) WITH ORDINALITY');
SELECT compare.rows('SELECT * FROM ROWS FROM (of_body(3), of_string(4)) AS r');
SELECT compare.rows('SELECT of_string(4)');
SELECT compare.rows('SELECT i, one_row(i), title_of(i) FROM generate_series(1, 9) AS i');
SELECT compare.rows('SELECT (one_row(id)).title FROM post');
SELECT compare.rows('SELECT a.id, f.id FROM author AS a LEFT JOIN of_string(2) AS f ON f.author_id = a.id');
SELECT compare.rows('SELECT a.id, f.id FROM author AS a LEFT JOIN of_body(2) AS f ON f.author_id = a.id');
SELECT compare.rows('SELECT a.id, f.id FROM author AS a FULL JOIN of_body(2) AS f ON f.author_id = a.id');
SELECT compare.rows('SELECT a.id, f.id FROM author AS a LEFT JOIN LATERAL of_table(a.id % 4) AS f ON f.id = a.id');
SELECT compare.rows('SELECT a.id FROM author AS a WHERE NOT EXISTS (SELECT FROM of_body(a.id - 2) AS f WHERE f.author_id = a.id)');
SELECT compare.rows('SELECT a.id FROM author AS a WHERE (SELECT count(*) FROM of_string(a.id) AS f) > 5');
SELECT compare.rows('SELECT * FROM both_kinds() AS b WHERE b.id < 9');
SELECT compare.rows('SELECT id FROM of_body(1) UNION ALL SELECT id FROM of_string(2)');
SELECT compare.rows('WITH f AS (SELECT * FROM of_body(1)) SELECT count(*) FROM f');
CALL compare.in_both('CREATE VIEW of_function AS SELECT f.id, a.name FROM of_body(2) AS f LEFT JOIN author AS a ON a.id = f.author_id');
SELECT compare.rows('SELECT * FROM of_function');
-- the conditions inside a function are those of the function
SELECT compare.rows('SELECT * FROM of_body(3) AS f WHERE f.deleted_at IS NULL');

--
-- PL/pgSQL
--
CALL compare.in_both($$
	CREATE FUNCTION walk() RETURNS SETOF text LANGUAGE plpgsql AS $f$
	DECLARE
		a author;
		n int;
		cursor_of CURSOR (key int) FOR SELECT * FROM post WHERE author_id = key ORDER BY id;
	BEGIN
		FOR a IN SELECT * FROM author ORDER BY id LOOP
			SELECT count(*) INTO n FROM post WHERE author_id = a.id;
			RETURN NEXT a.name || ': ' || n;
			FOR p IN cursor_of(a.id) LOOP
				RETURN NEXT p.title;
			END LOOP;
		END LOOP;
		SELECT * INTO a FROM author WHERE id = 2;
		RETURN NEXT 'author 2: ' || FOUND;
		PERFORM FROM post WHERE id = 5;
		RETURN NEXT 'post 5: ' || FOUND;
		EXECUTE 'SELECT count(*) FROM post WHERE id <> $1' INTO n USING 4;
		RETURN NEXT 'others: ' || n;
		n := (SELECT count(*) FROM post);
		RETURN NEXT 'all: ' || n;
		RETURN QUERY SELECT title FROM post WHERE score = 0;
	END
	$f$;
$$);
SELECT compare.rows('SELECT * FROM walk()');
SELECT compare.rows('SELECT w FROM walk() AS w');
-- what PL/pgSQL makes of a missing row
SELECT compare.rows('SELECT 1 FROM post WHERE id = 6 AND id IN (SELECT id FROM post WHERE id = 5)');
CALL compare.in_both($$
	CREATE FUNCTION strictly(key int) RETURNS text LANGUAGE plpgsql AS $f$
	DECLARE t text;
	BEGIN SELECT title INTO STRICT t FROM post WHERE id = key; RETURN t; END
	$f$;
$$);
SELECT compare.rows('SELECT strictly(6)');
SELECT compare.rows('SELECT strictly(5)');

--
-- Prepared statements, with plans of both kinds
--
SET search_path = soft;
PREPARE by_score (int) AS SELECT count(*), min(id), max(id) FROM post WHERE score = $1;
PREPARE by_key (int) AS SELECT count(*) FROM post WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_score (1);
EXECUTE by_key (5);
SET plan_cache_mode = force_custom_plan;
EXECUTE by_score (1);
EXECUTE by_key (5);
RESET plan_cache_mode;
SELECT count(*), min(id), max(id) FROM twin.post WHERE score = 1;
-- cached plans follow what becomes of the table
UPDATE post SET deleted_at = NULL WHERE id = 5;
EXECUTE by_key (5);
DELETE FROM post WHERE id = 5;
EXECUTE by_key (5);
ALTER TABLE post DISABLE TRIGGER soft_delete;
EXECUTE by_key (5);
ALTER TABLE post ENABLE TRIGGER soft_delete;
EXECUTE by_key (5);
DROP TRIGGER soft_delete ON post;
EXECUTE by_key (5);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
EXECUTE by_key (5);
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
