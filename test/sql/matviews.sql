--
-- Materialized views hold live rows, whatever the session that creates or
-- refreshes them may see itself.
--
CREATE SCHEMA soft;
SET search_path = soft;
CREATE TABLE post (id int PRIMARY KEY, title text, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 6) AS i;
DELETE FROM post WHERE id > 4;
CREATE FUNCTION posts() RETURNS bigint LANGUAGE plpgsql STABLE AS
	'BEGIN RETURN (SELECT count(*) FROM soft.post); END';

CREATE MATERIALIZED VIEW live AS SELECT id, title, posts() FROM post;
CREATE MATERIALIZED VIEW bin AS SELECT id FROM post WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX ON live (id);
SELECT * FROM live ORDER BY id;
SELECT * FROM bin ORDER BY id;

SET orm_ext.deleted_rows = 'show';
CREATE MATERIALIZED VIEW late AS SELECT id, posts() FROM post;
SELECT * FROM late ORDER BY id;
SELECT posts();
REFRESH MATERIALIZED VIEW live;
REFRESH MATERIALIZED VIEW bin;
SELECT count(*), max(posts) FROM live;
SELECT count(*) FROM bin;
SELECT posts();
REFRESH MATERIALIZED VIEW CONCURRENTLY live;
SELECT count(*), max(posts) FROM live;
SELECT posts();
-- the session itself goes on to see what it sees
SELECT count(*) FROM post;
CREATE TABLE copied AS SELECT * FROM post;
SELECT count(*) FROM copied;

SET orm_ext.deleted_rows = 'only';
REFRESH MATERIALIZED VIEW live;
SELECT count(*), max(posts) FROM live;
SELECT posts();
SELECT count(*) FROM post;
RESET orm_ext.deleted_rows;

SET row_security = off;
REFRESH MATERIALIZED VIEW live;
SELECT count(*), max(posts) FROM live;
SELECT posts();
RESET row_security;

-- in a function, and where it fails
CREATE FUNCTION refresh() RETURNS bigint LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' AS $$
BEGIN
	REFRESH MATERIALIZED VIEW live;
	RETURN posts();
END
$$;
SELECT refresh();
SELECT posts();
SELECT count(*), max(posts) FROM live;
CREATE MATERIALIZED VIEW failing AS SELECT 1 / (id - 5) AS x FROM post;
SELECT count(*) FROM failing;
UPDATE post SET deleted_at = NULL WHERE id = 5;
SET orm_ext.deleted_rows = 'show';
REFRESH MATERIALIZED VIEW failing;
SELECT count(*) FROM post;
RESET orm_ext.deleted_rows;
SELECT count(*) FROM post;
REFRESH MATERIALIZED VIEW live WITH NO DATA;
REFRESH MATERIALIZED VIEW live;
SELECT count(*), max(posts) FROM live;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
