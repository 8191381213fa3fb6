--
-- Parallel plans show live rows, and the condition does not stand in their way.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, author_id int, score int, deleted_at timestamptz) WITH (parallel_workers = 2);
	CREATE TABLE author (id int PRIMARY KEY, name text, deleted boolean NOT NULL DEFAULT false) WITH (parallel_workers = 2);
	INSERT INTO post SELECT i, i % 50, i % 7 FROM generate_series(1, 600) AS i;
	INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 60) AS i;
	CREATE INDEX ON post (author_id);
	CREATE FUNCTION posts_of(author int) RETURNS SETOF post LANGUAGE sql STABLE PARALLEL SAFE
		AS 'SELECT * FROM post WHERE author_id = author';
	CREATE FUNCTION title_count(author int) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE
		AS 'BEGIN RETURN (SELECT count(*) FROM post WHERE author_id = author); END';
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.author
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted');
CALL compare.in_both('DELETE FROM post WHERE id % 3 = 0');
CALL compare.in_both('DELETE FROM author WHERE id % 10 = 0');
ANALYZE soft.post, twin.post, soft.author, twin.author;

-- Is a query's plan parallel?
CREATE FUNCTION compare.is_parallel(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		IF line ~ 'Gather' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
\pset format unaligned
\pset tuples_only on

\set query 'SELECT count(*), sum(id), max(deleted_at) FROM post'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;

\set query 'SELECT author_id, count(*) FROM post WHERE author_id > 46 GROUP BY 1 ORDER BY 1'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;

\set query 'SELECT count(*), count(a.id) FROM post AS p LEFT JOIN author AS a ON a.id = p.author_id'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;

\set query 'SELECT count(*), sum(id) FROM (SELECT id FROM post UNION ALL SELECT id FROM author UNION ALL SELECT id FROM post WHERE score = 1) AS u'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;

\set query 'SELECT count(*) FROM author AS a WHERE NOT EXISTS (SELECT FROM post AS p WHERE p.author_id = a.id)'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;

-- an index of live rows, scanned in parallel
CREATE INDEX ON soft.post (score) WHERE deleted_at IS NULL;
CREATE INDEX ON twin.post (score);
SET enable_seqscan = off;
\set query 'SELECT count(*), sum(id) FROM post WHERE score = 3'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;
RESET enable_seqscan;

-- functions that are called by workers
\set query 'SELECT sum(title_count(id)) FROM author WHERE id < 9'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;
\set query 'SELECT count(*) FROM author AS a JOIN post AS b ON b.author_id = a.id WHERE b.id < 9 AND EXISTS (SELECT FROM posts_of(a.id) AS p WHERE p.score = b.score)'
SET search_path = soft;
SELECT compare.is_parallel(:'query');
:query;
SET search_path = twin;
:query;

-- settings reach the workers
SET search_path = soft;
\set query 'SELECT count(*), sum(title_count(author_id)) FROM post WHERE score = 1 AND id < 60'
:query;
SET orm_ext.deleted_rows = 'show';
SELECT compare.is_parallel(:'query');
:query;
SET orm_ext.deleted_rows = 'only';
SELECT compare.is_parallel(:'query');
:query;
RESET orm_ext.deleted_rows;
:query;

-- CREATE TABLE AS may scan in parallel; a DELETE finds its rows as plain SQL does
CREATE TABLE copied AS SELECT * FROM soft.post;
SELECT count(*) FROM copied;
DELETE FROM post WHERE score = 3 AND id IN (SELECT max(id) FROM post GROUP BY author_id) RETURNING id > 0 AS deleted, deleted_at;

RESET search_path;
DROP FUNCTION compare.is_parallel(text);
SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
