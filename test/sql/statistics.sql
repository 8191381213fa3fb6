--
-- Until a table is analyzed the planner takes most of its rows for live ones.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, author_id int, deleted_at timestamptz) WITH (autovacuum_enabled = off);
	CREATE TABLE tag (id int, deleted_on timestamp) WITH (autovacuum_enabled = off);
	CREATE TABLE author (id int, deleted boolean NOT NULL DEFAULT false) WITH (autovacuum_enabled = off);
	CREATE TABLE event (id int, deleted_ms bigint NOT NULL DEFAULT 0) PARTITION BY HASH (id);
	CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (modulus 2, remainder 0) WITH (autovacuum_enabled = off);
	CREATE TABLE event_1 PARTITION OF event FOR VALUES WITH (modulus 2, remainder 1) WITH (autovacuum_enabled = off);
$$);
SET client_min_messages = warning;
SELECT count(*) > 0 AS enabled
FROM (VALUES ('post', 'deleted_at'), ('tag', 'deleted_on'), ('author', 'deleted'), ('event', 'deleted_ms')) AS t (name, marker),
	orm_ext.enable_soft_delete(('soft.' || name)::regclass, marker);
RESET client_min_messages;
CALL compare.in_both($$
	INSERT INTO post SELECT i, i % 100 FROM generate_series(1, 10000) AS i;
	INSERT INTO tag SELECT i FROM generate_series(1, 10000) AS i;
	INSERT INTO author SELECT i FROM generate_series(1, 10000) AS i;
	INSERT INTO event SELECT i FROM generate_series(1, 10000) AS i;
$$);

-- How many rows the planner expects of a query.
CREATE FUNCTION compare.expected_rows(schema name, query text) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	PERFORM set_config('search_path', quote_ident(schema), true);
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END
$$;

-- As percentage of what it expects of the twin.
SELECT query, round(100 * compare.expected_rows('soft', query) / compare.expected_rows('twin', query), -1) AS percent
FROM unnest('{TABLE post, TABLE tag, TABLE author, TABLE event, TABLE event_1}'::text[]) AS query;

-- Of all rows.
SELECT query, round(100 * compare.expected_rows('soft', query)
					/ compare.expected_rows('twin', regexp_replace(query, ' WHERE.*', '')), -1) AS percent
FROM unnest(ARRAY['TABLE post WHERE deleted_at IS NOT NULL', 'TABLE tag WHERE deleted_on IS NOT NULL',
	'TABLE author WHERE deleted', 'TABLE event WHERE deleted_ms <> 0']) AS t (line),
	replace(line, 'TABLE', 'SELECT * FROM') AS query;

-- Once there are statistics, these count.
DELETE FROM soft.post WHERE id > 100;
DELETE FROM soft.author WHERE id > 100;
ANALYZE soft.post, soft.author;
SELECT compare.expected_rows('soft', 'TABLE post') AS post, compare.expected_rows('soft', 'TABLE author') AS author;

DROP FUNCTION compare.expected_rows;
SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
