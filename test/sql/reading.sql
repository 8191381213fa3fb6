--
-- A SELECT does not see deleted rows, in whatever form it is written.
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
		reply_to int,
		title text,
		score int,
		deleted_at timestamptz
	);
	CREATE TABLE tag (post_id int, word text);
	INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 9) AS i;
	INSERT INTO post
		SELECT i, nullif(i % 10, 0), nullif(i / 3, 0), 'post ' || i % 7, i % 5
		FROM generate_series(1, 60) AS i;
	INSERT INTO tag SELECT i % 70, 'tag ' || i % 4 FROM generate_series(1, 90) AS i;
	CREATE INDEX ON post (author_id);
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.author
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CALL compare.in_both('DELETE FROM author WHERE id IN (2, 5, 9)');
CALL compare.in_both('DELETE FROM post WHERE id % 4 = 1');

-- this is what "same" means from here on: equal answers, yet all rows are there
SELECT count(*) FROM soft.post;
SELECT count(*) FROM twin.post;
SELECT count(*) FROM soft.post WHERE deleted_at IS NOT NULL OR deleted_at IS NULL;

-- plain
\pset format unaligned
\pset tuples_only on
SELECT compare.rows('SELECT * FROM post');
SELECT compare.rows('TABLE author');
SELECT compare.rows('SELECT p FROM post AS p');
SELECT compare.rows('SELECT count(*), min(id), max(id), sum(score) FROM post');
SELECT compare.rows('SELECT title FROM post WHERE id = 5');
SELECT compare.rows('SELECT title FROM post WHERE author_id = 3 AND id > 20');
SELECT compare.rows('SELECT DISTINCT title FROM post');
SELECT compare.rows('SELECT DISTINCT ON (title) title, id FROM post ORDER BY title, score DESC, id');
SELECT compare.rows('SELECT id FROM post ORDER BY id OFFSET 3 LIMIT 7');
SELECT compare.rows('SELECT id FROM post ORDER BY score FETCH FIRST 4 ROWS WITH TIES');
SELECT compare.rows('SELECT ctid IS NOT NULL, tableoid::regclass::text IS NOT NULL FROM post');
SELECT compare.rows('SELECT DISTINCT p.deleted_at FROM post AS p');

-- grouping and windows
SELECT compare.rows('SELECT author_id, count(*) FROM post GROUP BY author_id HAVING count(*) > 4');
SELECT compare.rows('SELECT author_id, score, count(*) FROM post GROUP BY GROUPING SETS ((author_id), (score), (author_id, score), ())');
SELECT compare.rows('SELECT author_id, score, sum(id) FROM post GROUP BY CUBE (author_id, score)');
SELECT compare.rows('SELECT id, rank() OVER (PARTITION BY author_id ORDER BY score, id), lag(id) OVER (ORDER BY id) FROM post');
SELECT compare.rows('SELECT count(*) FILTER (WHERE score > 2), string_agg(title, '','' ORDER BY id) FROM post');

-- joins: outer ones keep the row on the other side
SELECT compare.rows('SELECT a.name, p.title FROM author AS a JOIN post AS p ON p.author_id = a.id');
SELECT compare.rows('SELECT a, p FROM author AS a LEFT JOIN post AS p ON p.author_id = a.id AND p.score = 3');
SELECT compare.rows('SELECT a.id, p.id FROM author AS a RIGHT JOIN post AS p ON p.author_id = a.id');
SELECT compare.rows('SELECT a.id, p.id FROM author AS a FULL JOIN post AS p ON p.author_id = a.id');
SELECT compare.rows('SELECT * FROM author AS a FULL JOIN author AS b ON b.id = a.id + 1');
SELECT compare.rows('SELECT a.id, p.id, t.word FROM tag AS t LEFT JOIN (post AS p JOIN author AS a ON a.id = p.author_id) ON p.id = t.post_id');
SELECT compare.rows('SELECT * FROM author CROSS JOIN tag');
SELECT compare.rows('SELECT p.id, r.id FROM post AS p LEFT JOIN post AS r ON r.reply_to = p.id WHERE r.id IS NULL');
SELECT compare.rows('SELECT id, t.word FROM post JOIN tag AS t ON t.post_id = post.id');
SELECT compare.rows('SELECT p.id, q.title FROM post AS p JOIN post AS q ON q.id = p.id WHERE q.score > 1');
SELECT compare.rows('SELECT p.id FROM post AS p LEFT JOIN author AS a ON a.id = p.author_id');

-- a key among live rows is one where live rows are read, and only there
CALL compare.in_both('CREATE TABLE login (name text, n int, deleted_at timestamptz)');
CALL compare.in_both($$INSERT INTO login VALUES ('a', 1), ('a', 2), ('b', 3), ('a', 4), ('c', 5)$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.login
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CALL compare.in_both('DELETE FROM login WHERE n IN (1, 4, 5)');
CALL compare.in_both('CREATE UNIQUE INDEX ON login (name) WHERE deleted_at IS NULL');
SELECT compare.rows('SELECT l.n FROM login AS l LEFT JOIN login AS m ON m.name = l.name');
SELECT compare.rows('SELECT v.name FROM (VALUES (''a''), (''b''), (''c'')) AS v (name) LEFT JOIN login AS m ON m.name = v.name');
SELECT compare.rows('SELECT v.name, m.n FROM (VALUES (''a''), (''b''), (''c'')) AS v (name) JOIN login AS m ON m.name = v.name');
SELECT compare.rows('SELECT v.name FROM (VALUES (''a''), (''b''), (''c'')) AS v (name) WHERE v.name IN (SELECT name FROM login)');
SELECT count(*) FROM (VALUES ('a'), ('b'), ('c')) AS v (name) LEFT JOIN soft.login AS m ON m.name = v.name;
SELECT count(*) FROM (VALUES ('a'), ('b'), ('c')) AS v (name) LEFT JOIN soft.login AS m ON m.name = v.name AND orm_ext.with_deleted(m.deleted_at);
SET orm_ext.deleted_rows = 'show';
SELECT count(*) FROM (VALUES ('a'), ('b'), ('c')) AS v (name) LEFT JOIN soft.login AS m ON m.name = v.name;
SET orm_ext.deleted_rows = 'only';
SELECT count(*) FROM (VALUES ('a'), ('b'), ('c')) AS v (name) LEFT JOIN soft.login AS m ON m.name = v.name;
RESET orm_ext.deleted_rows;

-- sub-selects
SELECT compare.rows('SELECT id FROM author AS a WHERE EXISTS (SELECT FROM post AS p WHERE p.author_id = a.id)');
SELECT compare.rows('SELECT id FROM author AS a WHERE NOT EXISTS (SELECT FROM post AS p WHERE p.author_id = a.id AND p.score = 1)');
SELECT compare.rows('SELECT id FROM author WHERE id IN (SELECT author_id FROM post)');
SELECT compare.rows('SELECT id FROM author WHERE id NOT IN (SELECT author_id FROM post WHERE score = 4 AND author_id IS NOT NULL)');
SELECT compare.rows('SELECT id FROM author WHERE id NOT IN (SELECT author_id FROM post)');
SELECT compare.rows('SELECT id FROM post WHERE score >= ALL (SELECT score FROM post AS o WHERE o.author_id = post.author_id)');
SELECT compare.rows('SELECT name, (SELECT count(*) FROM post AS p WHERE p.author_id = a.id) FROM author AS a');
SELECT compare.rows('SELECT name, ARRAY(SELECT p.id FROM post AS p WHERE p.author_id = a.id ORDER BY 1) FROM author AS a');
SELECT compare.rows('SELECT word FROM tag WHERE (SELECT a.name FROM author AS a JOIN post AS p ON p.author_id = a.id WHERE p.id = tag.post_id) IS NULL');
SELECT compare.rows('SELECT (SELECT name FROM author WHERE id = 5), (SELECT name FROM author WHERE id = 4)');
SELECT compare.rows('SELECT a.id, l.* FROM author AS a, LATERAL (SELECT p.id, p.title FROM post AS p WHERE p.author_id = a.id ORDER BY p.score, p.id LIMIT 2) AS l');
SELECT compare.rows('SELECT a.id, l.id FROM author AS a LEFT JOIN LATERAL (SELECT id FROM post WHERE author_id = a.id AND score = 0 ORDER BY id LIMIT 1) AS l ON true');

-- common table expressions
SELECT compare.rows('WITH p AS (SELECT * FROM post WHERE score > 1) SELECT a.id, count(*) FROM author AS a JOIN p ON p.author_id = a.id GROUP BY 1');
SELECT compare.rows('WITH p AS MATERIALIZED (SELECT * FROM post) SELECT count(*), count(DISTINCT p.title) FROM p, p AS q WHERE p.id = q.id');
SELECT compare.rows('WITH RECURSIVE thread AS (SELECT id, 0 AS level FROM post WHERE reply_to IS NULL UNION ALL SELECT p.id, level + 1 FROM thread AS t JOIN post AS p ON p.reply_to = t.id) SELECT * FROM thread');
SELECT compare.rows('WITH RECURSIVE thread AS (SELECT id, reply_to FROM post WHERE id = 44 UNION SELECT p.id, p.reply_to FROM thread AS t JOIN post AS p ON p.id = t.reply_to) SELECT * FROM thread');

-- set operations
SELECT compare.rows('SELECT id FROM author UNION ALL SELECT author_id FROM post');
SELECT compare.rows('SELECT id FROM author UNION SELECT author_id FROM post');
SELECT compare.rows('SELECT id FROM author EXCEPT SELECT author_id FROM post WHERE score < 2');
SELECT compare.rows('SELECT id FROM author INTERSECT ALL SELECT author_id FROM post');
SELECT compare.rows('SELECT u.id, u.name FROM (SELECT id, name FROM author UNION ALL SELECT id, title FROM post UNION ALL SELECT post_id, word FROM tag) AS u WHERE u.id < 9');
SELECT compare.rows('SELECT count(*) FROM (SELECT id FROM author UNION ALL SELECT id FROM author UNION ALL VALUES (1)) AS u');
SELECT compare.rows('SELECT u.id FROM tag AS t LEFT JOIN (SELECT id FROM author UNION ALL SELECT id FROM post) AS u ON u.id = t.post_id');

-- samples and locks
SELECT compare.rows('SELECT count(*) FROM post TABLESAMPLE SYSTEM (100)');
SELECT compare.rows('SELECT id FROM post TABLESAMPLE BERNOULLI (100) REPEATABLE (1)');
SELECT compare.rows('SELECT id FROM post WHERE author_id = 7 FOR UPDATE');
SELECT compare.rows('SELECT a.id, p.id FROM author AS a JOIN post AS p ON p.author_id = a.id FOR NO KEY UPDATE OF p FOR SHARE OF a');
SELECT compare.rows('SELECT id FROM post ORDER BY id LIMIT 5 FOR KEY SHARE SKIP LOCKED');
SELECT compare.rows('SELECT id FROM post AS p WHERE score = 1 AND EXISTS (SELECT FROM author AS a WHERE a.id = p.author_id FOR UPDATE)');

-- functions that a deleted row would make fail
SELECT compare.rows('SELECT 10 / (id - 5) FROM post WHERE id < 9');
SELECT compare.rows('SELECT id FROM post WHERE 100 / (id - 1) > 3');
SELECT compare.rows('SELECT 10 / (id - 6) FROM post WHERE id < 9');

-- INSERT ... SELECT, CREATE TABLE AS and COPY (SELECT) copy live rows
SELECT compare.effect('INSERT INTO tag SELECT id, title FROM post');
CALL compare.in_both('CREATE TABLE copied AS SELECT * FROM post');
SELECT compare.rows('SELECT * FROM copied');
COPY (SELECT id, name FROM soft.author ORDER BY id) TO STDOUT;
-- COPY table copies what is there, as pg_dump needs it
COPY soft.author (id) TO STDOUT;

-- an UPDATE does not see deleted rows either
SELECT compare.effect('UPDATE post SET score = score + 1');
SELECT compare.effect('UPDATE post SET score = 9 WHERE id = 5');
SELECT compare.effect('UPDATE post SET score = a.id FROM author AS a WHERE a.id = post.author_id RETURNING post.*');
SELECT compare.effect('UPDATE author SET name = (SELECT max(title) FROM post AS p WHERE p.author_id = author.id)');

-- every join method, and index scans
SET enable_hashjoin = off;
SELECT compare.rows('SELECT a.id, p.id FROM author AS a LEFT JOIN post AS p ON p.author_id = a.id');
SET enable_mergejoin = off;
SELECT compare.rows('SELECT a.id, p.id FROM author AS a LEFT JOIN post AS p ON p.author_id = a.id');
SET enable_seqscan = off;
SELECT compare.rows('SELECT a.id, p.id FROM author AS a LEFT JOIN post AS p ON p.author_id = a.id');
SELECT compare.rows('SELECT id FROM post ORDER BY id');
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SELECT compare.rows('SELECT id FROM post WHERE author_id = 3');
SET enable_bitmapscan = off;
SELECT compare.rows($$SELECT id FROM post WHERE ctid >= '(0,1)'$$);
SELECT compare.rows('SELECT p.id FROM post AS p JOIN post AS q ON q.ctid = p.ctid');
RESET ALL;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
