--
-- MERGE: a deleted row is no match, and a DELETE action is a soft one.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE stock (id int UNIQUE, amount int, place text DEFAULT 'x', deleted_at timestamptz);
	CREATE TABLE delivery (id int, amount int, deleted boolean NOT NULL DEFAULT false);
	INSERT INTO stock SELECT i, i * 10 FROM generate_series(1, 9) AS i;
	INSERT INTO delivery SELECT i, i - 7 FROM generate_series(4, 13) AS i;
$$);
\pset format unaligned
\pset tuples_only on
SELECT orm_ext.enable_soft_delete('soft.stock');
SELECT orm_ext.enable_soft_delete('soft.delivery', 'deleted');
CALL compare.in_both('DELETE FROM stock WHERE id IN (2, 5, 8)');
CALL compare.in_both('DELETE FROM delivery WHERE id IN (4, 8, 11)');

SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND d.amount < 0 THEN DELETE WHEN MATCHED THEN UPDATE SET amount = s.amount + d.amount');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND d.amount > 2 THEN INSERT VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND s.amount > 65 THEN DELETE WHEN MATCHED AND s.amount > 55 THEN UPDATE SET amount = 0 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO stock AS s USING (VALUES (2, 1), (3, 1), (5, 1)) AS v (id, amount) ON v.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.amount)');
SELECT compare.effect('MERGE INTO stock USING stock AS other ON other.id = stock.id + 1 WHEN MATCHED AND other.amount > 60 THEN DELETE WHEN MATCHED THEN UPDATE SET place = other.place || other.id');
SELECT compare.effect('MERGE INTO ONLY stock USING (SELECT 9 AS id) AS v ON v.id = stock.id WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO stock USING delivery AS d ON false WHEN NOT MATCHED AND d.amount > 2 THEN INSERT VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO stock USING (SELECT 3 AS id UNION ALL SELECT 3) AS v ON v.id = stock.id WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO stock USING (SELECT 3 AS id UNION ALL SELECT 3) AS v ON v.id = stock.id WHEN MATCHED THEN UPDATE SET amount = 1');
SELECT compare.effect('MERGE INTO stock USING (SELECT 2 AS id) AS v ON v.id = stock.id WHEN MATCHED THEN UPDATE SET amount = 1');
SELECT compare.effect('MERGE INTO stock AS s USING (SELECT * FROM delivery WHERE amount > 0) AS d ON d.id = s.id WHEN MATCHED AND EXISTS (SELECT FROM delivery AS e WHERE e.id = s.id + 1) THEN DELETE');
SELECT compare.effect('WITH d AS (SELECT id, amount FROM delivery ORDER BY id LIMIT 4) MERGE INTO stock AS s USING d ON d.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO delivery AS d USING stock AS s ON s.id = d.id WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND 10 / (s.id - 5) > 0 THEN DELETE');
SELECT compare.effect('DO $f$ DECLARE n int; BEGIN MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE; GET DIAGNOSTICS n = ROW_COUNT; INSERT INTO stock VALUES (100 + n, CASE WHEN FOUND THEN 1 ELSE 0 END); END $f$');

-- tags, and what is really there
SET search_path = soft;
\set QUIET off
BEGIN;
MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.amount);
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NULL;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NOT NULL;
MERGE INTO stock AS s USING (VALUES (6), (7), (9)) AS v (id) ON v.id = s.id WHEN MATCHED THEN DELETE;
ROLLBACK;
\set QUIET on

-- a deleted row that has the primary key of a row to be inserted is in the way
CREATE TABLE keyed (id int PRIMARY KEY, n int, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON keyed FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO keyed VALUES (1), (2);
DELETE FROM keyed WHERE id = 1;
MERGE INTO keyed AS k USING (VALUES (1), (2)) AS v (id) ON v.id = k.id
	WHEN MATCHED THEN UPDATE SET n = 1 WHEN NOT MATCHED THEN INSERT VALUES (v.id);
\echo SQLSTATE :SQLSTATE
DROP TABLE keyed;

-- one stamp, however many actions delete
BEGIN;
MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND s.id < 7 THEN DELETE WHEN MATCHED THEN DELETE;
SELECT count(*), count(DISTINCT deleted_at) FROM stock WHERE deleted_at IS NOT NULL AND id IN (6, 7, 9);
ROLLBACK;

-- in charge of the marker: from the bin a DELETE is final
BEGIN;
MERGE INTO stock AS s USING (VALUES (1), (2)) AS v (id) ON v.id = s.id AND s.deleted_at IS NOT NULL
	WHEN MATCHED THEN DELETE;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
BEGIN;
MERGE INTO stock AS s USING (VALUES (1), (2)) AS v (id) ON v.id = s.id AND orm_ext.with_deleted(s.deleted_at)
	WHEN MATCHED AND s.deleted_at IS NOT NULL THEN DELETE WHEN MATCHED THEN DELETE;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NULL;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NOT NULL;
ROLLBACK;
-- an UPDATE action that assigns the marker sees deleted rows
BEGIN;
MERGE INTO stock AS s USING (VALUES (1), (2), (12)) AS v (id) ON v.id = s.id
	WHEN MATCHED AND s.deleted_at IS NOT NULL THEN UPDATE SET deleted_at = NULL, amount = 0
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, 0);
SELECT id, amount FROM stock ORDER BY id;
ROLLBACK;
-- delete_mode, and deleted_rows
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
MERGE INTO stock AS s USING (VALUES (1), (2)) AS v (id) ON v.id = s.id WHEN MATCHED THEN DELETE;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.deleted_rows = 'show';
MERGE INTO stock AS s USING (VALUES (1), (2), (12)) AS v (id) ON v.id = s.id
	WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 0);
SET LOCAL orm_ext.deleted_rows = 'hide';
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NOT NULL;
ROLLBACK;

-- a prepared MERGE follows
PREPARE leave (int) AS MERGE INTO stock AS s USING (SELECT $1 AS id) AS v ON v.id = s.id WHEN MATCHED THEN DELETE;
\set QUIET off
BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE leave (1);
EXECUTE leave (1);
EXECUTE leave (2);
SET LOCAL orm_ext.delete_mode = 'hard';
EXECUTE leave (3);
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
\set QUIET on
RESET search_path;

-- partitions
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, word text, deleted_at timestamptz) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (deleted_at timestamptz, word text, kind text, id int);
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	INSERT INTO event SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'word ' || i FROM generate_series(1, 10) AS i;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.event
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CALL compare.in_both('DELETE FROM event WHERE id IN (3, 4)');
SELECT compare.effect('MERGE INTO event AS e USING generate_series(1, 8) AS g ON g = e.id WHEN MATCHED AND e.id < 5 THEN DELETE WHEN MATCHED THEN UPDATE SET word = upper(word)');
SELECT compare.effect('MERGE INTO event AS e USING generate_series(1, 14) AS g ON g = e.id WHEN MATCHED AND e.id < 5 THEN DELETE WHEN MATCHED THEN UPDATE SET kind = ''b'' WHEN NOT MATCHED THEN INSERT VALUES (g, ''a'', ''new'')');
SELECT compare.effect('MERGE INTO event_b AS e USING generate_series(1, 14) AS g ON g = e.id WHEN MATCHED THEN DELETE');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
