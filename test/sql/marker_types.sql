--
-- The four types of marker, with and without a precision: what a deletion
-- writes, what is read, and what RETURNING shows.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;

CALL compare.in_both($$
	CREATE TABLE by_timestamptz (id int PRIMARY KEY, gone timestamptz, word text);
	CREATE TABLE by_timestamptz_0 (id int PRIMARY KEY, word text, gone timestamptz(0));
	CREATE TABLE by_timestamp (gone timestamp, id int PRIMARY KEY, word text);
	CREATE TABLE by_timestamp_3 (id int PRIMARY KEY, word text, gone timestamp(3));
	CREATE TABLE by_boolean (id int PRIMARY KEY, word text, gone boolean NOT NULL DEFAULT false);
	CREATE TABLE by_bigint (id int PRIMARY KEY, gone bigint NOT NULL DEFAULT 0, word text);
$$);
SELECT format('CALL compare.in_both($$INSERT INTO %I (id, word) SELECT i, ''word '' || i %% 3 FROM generate_series(1, 12) AS i$$)', relname),
	format('CREATE TRIGGER gone BEFORE DELETE ON soft.%I FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(''gone'')', relname)
FROM pg_class WHERE relnamespace = 'soft'::regnamespace AND relkind = 'r' ORDER BY relname
\gexec
SELECT "table", "column" FROM orm_ext.managed ORDER BY "table"::text;

\pset format unaligned
\pset tuples_only on

-- DELETE answers as ever, and shows the rows as they were
SELECT compare.effect('DELETE FROM by_timestamptz WHERE id > 7 RETURNING *');
SELECT compare.effect('DELETE FROM by_timestamptz_0 WHERE id > 7 RETURNING *');
SELECT compare.effect('DELETE FROM by_timestamp WHERE id > 7 RETURNING *');
SELECT compare.effect('DELETE FROM by_timestamp_3 WHERE id > 7 RETURNING *');
SELECT compare.effect('DELETE FROM by_boolean WHERE id > 7 RETURNING *');
SELECT compare.effect('DELETE FROM by_bigint WHERE id > 7 RETURNING *');

-- a second DELETE finds nothing
SELECT format('CALL compare.in_both($$DELETE FROM %I WHERE id > 7$$)', relname),
	format('SELECT compare.effect($$DELETE FROM %I WHERE id > 6$$)', relname),
	format('SELECT compare.effect($$DELETE FROM %I WHERE id > 7$$)', relname)
FROM pg_class WHERE relnamespace = 'soft'::regnamespace AND relkind = 'r' ORDER BY relname
\gexec

-- joined with each other
SELECT compare.rows('SELECT * FROM by_timestamptz AS a LEFT JOIN by_boolean AS b ON b.id = a.id + 2');
SELECT compare.rows('SELECT * FROM by_boolean AS a FULL JOIN by_bigint AS b ON b.id = a.id + 2');
SELECT compare.rows('SELECT a.id FROM by_bigint AS a WHERE a.id NOT IN (SELECT b.id + 1 FROM by_timestamp AS b)');
SELECT compare.rows('SELECT id FROM by_timestamptz_0 UNION ALL SELECT id FROM by_boolean UNION ALL SELECT id FROM by_bigint UNION ALL SELECT id FROM by_timestamp_3');
SELECT compare.effect('DELETE FROM by_boolean AS b USING by_bigint AS i WHERE i.id = b.id AND b.word = ''word 1''');

-- what is written: the time, in the marker's own terms
\pset tuples_only off
\pset format aligned
SELECT count(*), min(gone) > transaction_timestamp() - interval '1 day' AS recent,
	max(gone) <= clock_timestamp() AS past
FROM soft.by_timestamptz WHERE gone IS NOT NULL;
SELECT count(*), min(gone) > transaction_timestamp() - interval '1 day' AS recent,
	max(gone) <= clock_timestamp() + interval '1 s' AS past
FROM soft.by_timestamptz_0 WHERE gone IS NOT NULL;
SELECT count(*), min(gone) > localtimestamp - interval '1 day' AS recent,
	max(gone) <= clock_timestamp()::timestamp AS past
FROM soft.by_timestamp WHERE gone IS NOT NULL;
SELECT count(*), min(gone) > localtimestamp - interval '1 day' AS recent,
	date_trunc('ms', max(gone)) = max(gone) AS in_milliseconds
FROM soft.by_timestamp_3 WHERE gone IS NOT NULL;
SELECT count(*), bool_and(gone) AS gone FROM soft.by_boolean WHERE gone;
SELECT count(*), to_timestamp(min(gone) / 1000000) > transaction_timestamp() - interval '1 day' AS recent,
	max(gone) <= extract(epoch FROM clock_timestamp()) * 1000000 AS past
FROM soft.by_bigint WHERE gone <> 0;
\pset tuples_only on
\pset format unaligned

-- what counts as deleted is any value but the live one

UPDATE soft.by_timestamptz SET gone = 'infinity' WHERE id = 1;
UPDATE soft.by_timestamp SET gone = '-infinity' WHERE id = 1;
UPDATE soft.by_bigint SET gone = -1 WHERE id = 1;
SELECT (SELECT min(id) FROM soft.by_timestamptz), (SELECT min(id) FROM soft.by_timestamp),
	(SELECT min(id) FROM soft.by_bigint);
-- and the live value brings a row back
UPDATE soft.by_timestamptz SET gone = NULL WHERE id = 1;
UPDATE soft.by_timestamp SET gone = NULL WHERE id = 1;
UPDATE soft.by_bigint SET gone = 0 WHERE id = 1;
UPDATE soft.by_boolean SET gone = false WHERE id = 12;
SELECT (SELECT min(id) FROM soft.by_timestamptz), (SELECT min(id) FROM soft.by_timestamp),
	(SELECT min(id) FROM soft.by_bigint), (SELECT max(id) FROM soft.by_boolean);
DELETE FROM soft.by_boolean WHERE id = 12;

-- Partial indexes are used as by a query that spells the condition.
CREATE FUNCTION compare.plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END
$$;
CREATE INDEX ON soft.by_timestamptz (word) WHERE gone IS NULL;
CREATE INDEX ON soft.by_timestamp (word) WHERE gone IS NULL;
CREATE INDEX ON soft.by_boolean (word) WHERE NOT gone;
CREATE INDEX ON soft.by_bigint (word) WHERE gone = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT compare.plan_of('SELECT id FROM soft.by_timestamptz WHERE word = ''word 1''');
SELECT compare.plan_of('SELECT id FROM soft.by_timestamp WHERE word = ''word 1''');
SELECT compare.plan_of('SELECT id FROM soft.by_boolean WHERE word = ''word 1''');
SELECT compare.plan_of('SELECT id FROM soft.by_bigint WHERE word = ''word 1''');
SELECT compare.rows('SELECT id FROM by_bigint WHERE word = ''word 1''');
SELECT compare.rows('SELECT id FROM by_boolean WHERE word = ''word 1''');
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP FUNCTION compare.plan_of(text);

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
