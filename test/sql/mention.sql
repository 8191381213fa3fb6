--
-- Mention the marker and you are in charge: a table reference whose marker
-- stands in the WHERE or ON conditions of its own query level is not filtered.
--
CREATE SCHEMA soft;
SET search_path = soft;
CREATE TABLE post (id int PRIMARY KEY, author_id int, deleted_at timestamptz);
CREATE TABLE author (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON author
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO author SELECT i FROM generate_series(1, 4) AS i;
INSERT INTO post SELECT i, (i + 1) / 2 FROM generate_series(1, 8) AS i;
DELETE FROM author WHERE id > 2;
DELETE FROM post WHERE id % 2 = 0;
-- live: authors 1 and 2, posts 1, 3, 5 and 7
\pset format unaligned
\pset tuples_only on
-- ids as one line
CREATE FUNCTION ids(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'SELECT string_agg(q::text, '' '' ORDER BY q) FROM (' || query || ') AS q' INTO result;
	RETURN result;
END
$$;

-- in WHERE
SELECT ids('SELECT id FROM post WHERE deleted_at IS NOT NULL');
SELECT ids('SELECT id FROM post WHERE deleted_at IS NULL');
SELECT ids('SELECT id FROM post WHERE deleted_at IS NULL OR id = 2');
SELECT ids('SELECT id FROM post WHERE id < 4 AND (deleted_at > ''2000-01-01'' OR id = 1)');
SELECT ids('SELECT id FROM post WHERE coalesce(deleted_at, now()) IS NOT NULL');
SELECT ids('SELECT id FROM post WHERE CASE WHEN deleted_at IS NULL THEN true ELSE true END');
SELECT ids('SELECT id FROM post WHERE deleted_at IS NOT DISTINCT FROM deleted_at');
SELECT ids('SELECT id FROM post WHERE true OR deleted_at IS NULL');

-- not elsewhere: select list, GROUP BY, HAVING, ORDER BY, window, whole row
SELECT ids('SELECT id FROM post ORDER BY deleted_at');
SELECT ids('SELECT (id, deleted_at IS NULL) FROM post');
SELECT ids('SELECT max(id) FROM post GROUP BY deleted_at HAVING min(deleted_at) IS NULL');
SELECT ids('SELECT count(*) FILTER (WHERE deleted_at IS NOT NULL) FROM post');
SELECT ids('SELECT id + 0 * rank() OVER (ORDER BY deleted_at) FROM post');
SELECT ids('SELECT id FROM post WHERE post IS DISTINCT FROM NULL');
SELECT ids('SELECT id FROM post WHERE (post).id > 0');
SELECT ids('SELECT DISTINCT ON (deleted_at) 0 FROM post');

-- one reference does not stand for another
SELECT ids('SELECT (p.id, q.id) FROM post AS p JOIN post AS q ON q.author_id = p.author_id WHERE p.deleted_at IS NOT NULL');
SELECT ids('SELECT (p.id, a.id) FROM post AS p JOIN author AS a ON a.id = p.author_id WHERE a.deleted_at IS NOT NULL');
SELECT ids('SELECT (p.id, a.id) FROM post AS p LEFT JOIN author AS a ON a.id = p.author_id AND a.deleted_at IS NOT NULL');
SELECT ids('SELECT (p.id, a.id) FROM post AS p FULL JOIN author AS a ON a.id = p.author_id AND p.deleted_at IS NULL');
SELECT ids('SELECT p.id FROM post AS p JOIN post AS q ON q.id = p.id WHERE p.deleted_at IS NOT NULL');
SELECT ids('SELECT p.id FROM post AS p JOIN post AS q ON q.id = p.id WHERE orm_ext.with_deleted(p.deleted_at)');
SELECT ids('SELECT (p.id, q.id) FROM post AS p LEFT JOIN post AS q ON q.id = p.id WHERE orm_ext.with_deleted(p.deleted_at)');

-- sub-selects: a mention of the outer table inside counts, since it stands in
-- the outer condition; an own mention counts for the sub-select alone
SELECT ids('SELECT id FROM post AS p WHERE EXISTS (SELECT FROM author AS a WHERE a.id = p.author_id AND p.deleted_at IS NOT NULL)');
SELECT ids('SELECT id FROM post AS p WHERE EXISTS (SELECT FROM author AS a WHERE a.id = p.author_id AND a.deleted_at IS NOT NULL)');
SELECT ids('SELECT id FROM post AS p WHERE author_id IN (SELECT id FROM author WHERE deleted_at IS NOT NULL)');
SELECT ids('SELECT id FROM post AS p WHERE (SELECT p.deleted_at) IS NOT NULL');
SELECT ids('SELECT (id, (SELECT count(*) FROM post AS p WHERE p.author_id = a.id AND p.deleted_at IS NOT NULL)) FROM author AS a');
SELECT ids('SELECT a.id FROM author AS a, LATERAL (SELECT 1 WHERE a.deleted_at IS NOT NULL) AS l');
SELECT ids('SELECT s.id FROM (SELECT * FROM post) AS s WHERE s.deleted_at IS NOT NULL');
SELECT ids('SELECT s.id FROM (SELECT * FROM post WHERE deleted_at IS NOT NULL) AS s');
SELECT ids('WITH s AS (SELECT * FROM post) SELECT id FROM s WHERE deleted_at IS NOT NULL');
SELECT ids('WITH s AS NOT MATERIALIZED (SELECT * FROM post) SELECT id FROM s WHERE deleted_at IS NULL');
SELECT ids('SELECT id FROM post WHERE deleted_at IS NOT NULL UNION ALL SELECT id * 10 FROM post');

-- joins: aliases, USING, NATURAL
SELECT ids('SELECT j.i FROM (post AS p JOIN author AS a ON a.id = p.author_id) AS j (i, ai, gone, i2, agone) WHERE j.gone IS NOT NULL');
SELECT ids('SELECT j.i FROM (post AS p JOIN author AS a ON a.id = p.author_id) AS j (i, ai, gone, i2, agone) WHERE j.agone IS NOT NULL');
SELECT ids('SELECT (p.id, q.id) FROM post AS p JOIN post AS q USING (id, deleted_at)');
SELECT ids('SELECT (p.id, q.id) FROM post AS p LEFT JOIN post AS q USING (deleted_at) WHERE p.id < 4');
SELECT ids('SELECT id FROM post FULL JOIN author USING (id, deleted_at)');
SELECT ids('SELECT id FROM post JOIN author USING (id) WHERE post.deleted_at IS NOT NULL');
-- a NATURAL JOIN names no column; the marker is a common column like others
SELECT ids('SELECT id FROM post NATURAL LEFT JOIN author');
SELECT ids('SELECT id FROM author NATURAL JOIN (SELECT id FROM post) AS p');

-- views are levels of their own, in both directions
CREATE VIEW posts AS SELECT * FROM post;
CREATE VIEW bin AS SELECT id, author_id FROM post WHERE deleted_at IS NOT NULL;
CREATE VIEW joined AS SELECT p.id, p.deleted_at, a.deleted_at AS author_deleted_at
	FROM post AS p LEFT JOIN author AS a ON a.id = p.author_id;
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM post WHERE id > 1;
SELECT ids('SELECT id FROM posts WHERE deleted_at IS NOT NULL');
SELECT ids('SELECT id FROM posts WHERE deleted_at IS NULL');
SELECT ids('SELECT id FROM bin');
SELECT ids('SELECT (b.id, p.id) FROM bin AS b JOIN post AS p USING (author_id)');
SELECT ids('SELECT id FROM joined WHERE author_deleted_at IS NOT NULL');
SELECT ids('SELECT id FROM joined');
SELECT ids('SELECT id FROM barrier WHERE deleted_at IS NOT NULL');
-- functions too
CREATE FUNCTION posts() RETURNS SETOF post LANGUAGE sql STABLE AS 'SELECT * FROM post';
CREATE FUNCTION bin() RETURNS SETOF post LANGUAGE sql STABLE AS 'SELECT * FROM post WHERE deleted_at IS NOT NULL';
SELECT ids('SELECT id FROM posts() WHERE deleted_at IS NOT NULL');
SELECT ids('SELECT id FROM bin()');
SELECT ids('SELECT (b.id, p.id) FROM bin() AS b JOIN post AS p USING (author_id)');

--
-- UPDATE
--
-- assigning the marker is a mention of the target
BEGIN;
UPDATE post SET deleted_at = NULL WHERE id = 2;
SELECT ids('SELECT id FROM post');
UPDATE post SET deleted_at = now() WHERE id < 4 AND deleted_at IS NULL;
SELECT ids('SELECT id FROM post');
UPDATE post SET (author_id, deleted_at) = (SELECT 9, NULL::timestamptz);
SELECT ids('SELECT id FROM post');
ROLLBACK;
-- reading it in the assigned value is none, but WHERE is
BEGIN;
UPDATE post SET author_id = CASE WHEN deleted_at IS NULL THEN 10 ELSE 20 END;
UPDATE post SET author_id = 30 WHERE deleted_at IS NOT NULL AND id < 5;
SELECT ids('SELECT (id, author_id) FROM post WHERE orm_ext.with_deleted(deleted_at)');
ROLLBACK;
-- other references of an UPDATE are filtered as ever
BEGIN;
UPDATE post AS p SET deleted_at = NULL FROM author AS a WHERE a.id = p.author_id;
SELECT ids('SELECT id FROM post');
ROLLBACK;
-- through views: assigning is done by the statement, conditions of a barrier
-- view belong to what is updated
BEGIN;
UPDATE posts SET deleted_at = NULL WHERE id = 4;
UPDATE bin SET author_id = 40 WHERE id = 6;
UPDATE barrier SET author_id = 50;
SELECT ids('SELECT (id, author_id) FROM post WHERE orm_ext.with_deleted(deleted_at)');
ROLLBACK;
CREATE VIEW barrier_bin WITH (security_barrier) AS SELECT id, author_id FROM post WHERE deleted_at IS NOT NULL;
BEGIN;
UPDATE barrier_bin SET author_id = 60;
SELECT ids('SELECT (id, author_id) FROM post WHERE orm_ext.with_deleted(deleted_at)');
ROLLBACK;

-- INSERT ... SELECT, CTEs and sub-selects of an UPDATE
BEGIN;
INSERT INTO post SELECT id + 10, author_id FROM post WHERE deleted_at IS NOT NULL;
WITH gone AS (SELECT id FROM post WHERE deleted_at IS NOT NULL) UPDATE post SET author_id = 70 FROM gone WHERE gone.id + 10 = post.id;
SELECT ids('SELECT (id, author_id) FROM post');
ROLLBACK;

--
-- Partitions and children: the column is the parent's
--
CREATE TABLE event (id int, kind text, gone timestamptz) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE TABLE event_b (gone timestamptz, kind text, id int);
ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
CREATE TRIGGER soft_delete BEFORE DELETE ON event
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
INSERT INTO event SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 6) AS i;
DELETE FROM event WHERE id > 4;
SELECT ids('SELECT id FROM event WHERE gone IS NOT NULL');
SELECT ids('SELECT id FROM event WHERE kind = ''b'' AND orm_ext.with_deleted(gone)');
SELECT ids('SELECT id FROM event_b WHERE gone IS NOT NULL');
SELECT ids('SELECT id FROM event_b');
SELECT ids('SELECT (e.id, f.id) FROM event AS e JOIN event AS f ON f.id = e.id - 2 WHERE e.gone IS NOT NULL');

-- a policy of row-level security is not the author's condition
CREATE ROLE regress_orm_user;
GRANT USAGE ON SCHEMA soft TO regress_orm_user;
GRANT SELECT ON post TO regress_orm_user;
ALTER TABLE post ENABLE ROW LEVEL SECURITY;
CREATE POLICY recent ON post USING (deleted_at IS NULL OR deleted_at > '2000-01-01');
SET ROLE regress_orm_user;
SELECT ids('SELECT id FROM post');
SELECT ids('SELECT id FROM post WHERE deleted_at IS NOT NULL');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_user;
