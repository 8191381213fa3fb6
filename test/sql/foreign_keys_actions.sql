--
-- What becomes of referring rows when a row is deleted: each action of a foreign
-- key, and each way to delete, against rows that are really gone.
--
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
-- references that are set to null or to a default in twin stay in soft
SET compare.left_out = 'deleted_at null_id default_id';

CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, v int DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE by_cascade (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE by_restrict (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE RESTRICT, deleted_at timestamptz);
	CREATE TABLE by_nothing (id int PRIMARY KEY, parent_id int REFERENCES parent, deleted_at timestamptz);
	CREATE TABLE by_null (id int PRIMARY KEY, null_id int REFERENCES parent ON DELETE SET NULL, deleted_at timestamptz);
	CREATE TABLE by_default (id int PRIMARY KEY, default_id int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT, deleted_at timestamptz);
	CREATE TABLE grandchild (id int PRIMARY KEY, child_id int REFERENCES by_cascade ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE guard (id int PRIMARY KEY, child_id int REFERENCES by_cascade ON DELETE RESTRICT, deleted_at timestamptz);
	CREATE TABLE other (id int PRIMARY KEY, v int DEFAULT 0, deleted_at timestamptz);
	INSERT INTO other VALUES (1);
	INSERT INTO parent SELECT generate_series(1, 12);
	-- 2: nobody refers to it.  3: children, one of them with children.  4, 5: they keep it.
	INSERT INTO by_cascade VALUES (31, 3), (32, 3), (33, 3), (39, NULL);
	INSERT INTO grandchild VALUES (311, 31), (312, 31), (321, 32), (399, 39);
	INSERT INTO by_restrict VALUES (41, 4), (49, NULL);
	INSERT INTO by_nothing VALUES (51, 5), (59, NULL);
	-- 6, 7: their references stay.  8: of its children's children, one keeps it.
	INSERT INTO by_null VALUES (61, 6);
	INSERT INTO by_default VALUES (71, 7);
	INSERT INTO by_cascade VALUES (81, 8), (82, 8);
	INSERT INTO grandchild VALUES (811, 81);
	INSERT INTO guard VALUES (821, 82);
	-- 9: everything that does not keep it.  10: everything.
	INSERT INTO by_cascade VALUES (91, 9), (101, 10);
	INSERT INTO by_null VALUES (91, 9), (101, 10);
	INSERT INTO by_default VALUES (91, 9), (101, 10);
	INSERT INTO by_restrict VALUES (101, 10);
	INSERT INTO by_nothing VALUES (101, 10);
	-- 11, 12: all of those are deleted already
	INSERT INTO by_cascade VALUES (111, 11), (121, 12);
	INSERT INTO by_restrict VALUES (111, 11);
	INSERT INTO by_nothing VALUES (121, 12);
	INSERT INTO by_null VALUES (111, 11);
	INSERT INTO guard VALUES (1111, 111);
$$);
SELECT compare.manage('parent', 'by_cascade', 'by_restrict', 'by_nothing', 'by_null', 'by_default', 'grandchild', 'guard', 'other');
CALL compare.in_both('DELETE FROM guard WHERE id = 1111');
CALL compare.in_both('DELETE FROM by_restrict WHERE id = 111');
CALL compare.in_both('DELETE FROM by_nothing WHERE id = 121');
CALL compare.in_both('DELETE FROM by_null WHERE id = 111');
CALL compare.in_both('DELETE FROM by_cascade WHERE id = 121');

--
-- Ways to delete
--
CALL compare.in_both($$
	CREATE VIEW good AS SELECT id AS key, v FROM parent WHERE v = 0;
	CREATE VIEW joined AS SELECT p.id FROM parent AS p JOIN parent AS q ON q.id = p.id;
	CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM parent WHERE id = old.id; RETURN old; END';
	CREATE TRIGGER leave INSTEAD OF DELETE ON joined FOR EACH ROW EXECUTE FUNCTION leave();
	CREATE FUNCTION in_sql(n int) RETURNS SETOF parent LANGUAGE sql AS 'DELETE FROM parent WHERE id = n RETURNING *';
	CREATE FUNCTION in_body(n int) RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC DELETE FROM parent WHERE id = n RETURNING id; END;
	CREATE FUNCTION in_plpgsql(n int) RETURNS text LANGUAGE plpgsql AS $f$
	DECLARE
		k int;
	BEGIN
		DELETE FROM parent WHERE id = n;
		GET DIAGNOSTICS k = ROW_COUNT;
		RETURN k || ' ' || FOUND;
	END
	$f$;
	CREATE FUNCTION by_cursor(n int) RETURNS void LANGUAGE plpgsql AS $f$
	DECLARE
		c CURSOR FOR SELECT * FROM parent WHERE id = n FOR UPDATE;
		r parent;
	BEGIN
		OPEN c;
		FETCH c INTO r;
		DELETE FROM parent WHERE CURRENT OF c;
		CLOSE c;
	END
	$f$;
	CREATE PROCEDURE by_call(n int) LANGUAGE plpgsql AS 'BEGIN DELETE FROM parent WHERE id = n; END';
	CREATE TABLE wish (key int);
	CREATE FUNCTION grant_wish() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM parent WHERE id = new.key; RETURN NULL; END';
	CREATE TRIGGER grant_wish AFTER INSERT ON wish FOR EACH ROW EXECUTE FUNCTION grant_wish();
	CREATE TABLE order_to_leave (key int);
	CREATE RULE leave AS ON INSERT TO order_to_leave DO INSTEAD DELETE FROM parent WHERE id = new.key;
$$);
SET search_path = soft;
PREPARE leave (int) AS DELETE FROM parent WHERE id = $1;
RESET search_path;
INSERT INTO compare.way (name, soft, twin) VALUES
	('DELETE', 'DELETE FROM parent WHERE id = %1$s', NULL),
	('RETURNING', 'DELETE FROM parent WHERE id = %1$s RETURNING *', NULL),
	('ONLY', 'DELETE FROM ONLY parent AS p WHERE p.id = %1$s', NULL),
	('USING', 'DELETE FROM parent USING generate_series(%1$s, %1$s) AS g WHERE id = g', NULL),
	('self-join', 'DELETE FROM parent AS p USING parent AS q WHERE q.id = %1$s AND p.id = q.id', NULL),
	('no key', 'DELETE FROM parent WHERE id BETWEEN %1$s - 0.5 AND %1$s + 0.5', NULL),
	('WITH', 'WITH d AS (DELETE FROM parent WHERE id = %1$s RETURNING id) SELECT count(*) FROM d', NULL),
	('WITH, not read', 'WITH d AS (DELETE FROM parent WHERE id = %1$s) UPDATE other SET v = 1', NULL),
	('WITH, two', 'WITH d AS (DELETE FROM parent WHERE id = %1$s RETURNING id) DELETE FROM other USING d WHERE other.id = -d.id', NULL),
	('MERGE', 'MERGE INTO parent USING (SELECT %1$s) AS s (k) ON id = k WHEN MATCHED THEN DELETE', NULL),
	('MERGE, one of two', 'MERGE INTO parent USING (VALUES (%1$s), (1)) AS s (k) ON id = k WHEN MATCHED AND id > 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 0', NULL),
	('view', 'DELETE FROM good WHERE key = %1$s', NULL),
	('view with a trigger', 'DELETE FROM joined WHERE id = %1$s', NULL),
	('rule', 'INSERT INTO order_to_leave VALUES (%1$s)', NULL),
	('trigger', 'INSERT INTO wish VALUES (%1$s)', NULL),
	('SQL function', 'SELECT * FROM in_sql(%1$s)', NULL),
	('SQL body', 'SELECT in_body(%1$s)', NULL),
	('PL/pgSQL', 'SELECT in_plpgsql(%1$s)', NULL),
	('CURRENT OF', 'SELECT by_cursor(%1$s)', NULL),
	('CALL', 'CALL by_call(%1$s)', NULL),
	('DO', 'DO $f$BEGIN DELETE FROM parent WHERE id = %1$s; END$f$', NULL),
	('EXECUTE', 'EXECUTE leave (%1$s)', NULL),
	('UPDATE', 'UPDATE parent SET deleted_at = clock_timestamp() WHERE id = %1$s', 'DELETE FROM parent WHERE id = %1$s'),
	('UPDATE of more', 'UPDATE parent SET v = 7, deleted_at = now() WHERE id = %1$s RETURNING id', 'DELETE FROM parent WHERE id = %1$s RETURNING id'),
	('UPDATE FROM', 'UPDATE parent AS p SET deleted_at = now() FROM parent AS q WHERE q.id = %1$s AND p.id = q.id', 'DELETE FROM parent WHERE id = %1$s'),
	('UPDATE in WITH', 'WITH u AS (UPDATE parent SET deleted_at = now() WHERE id = %1$s) SELECT 1', 'WITH d AS (DELETE FROM parent WHERE id = %1$s) SELECT 1'),
	('MERGE UPDATE', 'MERGE INTO parent USING (SELECT %1$s) AS s (k) ON id = k WHEN MATCHED THEN UPDATE SET deleted_at = now()', 'DELETE FROM parent WHERE id = %1$s'),
	('upsert', 'INSERT INTO parent (id) VALUES (%1$s) ON CONFLICT (id) DO UPDATE SET deleted_at = now()', 'DELETE FROM parent WHERE id = %1$s'),
	('upsert of the marker', 'INSERT INTO parent (id, deleted_at) VALUES (%1$s, now()) ON CONFLICT (id) DO UPDATE SET deleted_at = excluded.deleted_at', 'DELETE FROM parent WHERE id = %1$s'),
	('bulk upsert', 'DO $f$BEGIN PERFORM orm_ext.bulk_upsert(''parent'', ''[{"id": %1$s, "deleted_at": "2020-01-01"}]''); END$f$', 'DO $f$BEGIN DELETE FROM parent WHERE id = %1$s; END$f$'),
	('bulk upsert RETURNING', 'SELECT (result).id FROM orm_ext.bulk_upsert_returning(NULL::parent, ''[{"id": %1$s, "deleted_at": "2020-01-01"}]'')', 'DELETE FROM parent WHERE id = %1$s RETURNING id');
SELECT line FROM generate_series(2, 12) AS id, compare.by_all_ways(id) AS line;

-- whatever the session sees, live rows are those that count; "only" has a DELETE find nothing
SET orm_ext.deleted_rows = 'show';
SELECT line FROM unnest('{3,4,5,8,12}'::int[]) AS id, compare.by_all_ways(id, '^(DELETE|MERGE|WITH|UPDATE|upsert|bulk upsert)$') AS line;
SET orm_ext.deleted_rows = 'only';
SELECT compare.fk('DELETE FROM parent WHERE id = 3', 'DELETE FROM parent WHERE false');
SELECT line FROM unnest('{3,4,5,8,12}'::int[]) AS id, compare.by_all_ways(id, '^(UPDATE|upsert|bulk upsert)$') AS line;
RESET orm_ext.deleted_rows;

--
-- Many rows in one statement: some with children, some that are kept
--
SELECT compare.fk('DELETE FROM parent WHERE id IN (2, 3, 6, 7, 9, 11, 12)');
SELECT compare.fk('UPDATE parent SET deleted_at = now() WHERE id IN (2, 3, 6, 7, 9, 11, 12)', 'DELETE FROM parent WHERE id IN (2, 3, 6, 7, 9, 11, 12)');
SELECT compare.fk('DELETE FROM parent WHERE id <= 4');
SELECT compare.fk('DELETE FROM parent WHERE id IN (5, 9)');
SELECT compare.fk('MERGE INTO parent USING generate_series(2, 9) AS g ON id = g WHEN MATCHED AND g IN (3, 9) THEN DELETE WHEN MATCHED THEN UPDATE SET v = g');
-- parents and children in one statement; some rows are deleted by both
SELECT compare.fk('WITH c AS (DELETE FROM by_cascade WHERE parent_id = 3 RETURNING id) DELETE FROM parent WHERE id = 3');
SELECT compare.fk('WITH p AS (DELETE FROM parent WHERE id = 3 RETURNING id) DELETE FROM by_cascade WHERE id IN (31, 91)');
SELECT compare.fk('WITH r AS (DELETE FROM by_restrict WHERE parent_id = 4) DELETE FROM parent WHERE id = 4');
SELECT compare.fk('WITH r AS (DELETE FROM by_nothing WHERE parent_id = 5) DELETE FROM parent WHERE id = 5');
SELECT compare.fk('WITH p AS (DELETE FROM parent WHERE id = 5) DELETE FROM by_nothing WHERE parent_id = 5');
SELECT compare.fk('WITH p AS (DELETE FROM parent WHERE id = 4) DELETE FROM by_restrict WHERE parent_id = 4');
SELECT compare.fk('WITH g AS (DELETE FROM guard RETURNING id) DELETE FROM parent WHERE id = 8');
SELECT compare.fk('WITH u AS (UPDATE by_restrict SET parent_id = 2 WHERE parent_id = 4) DELETE FROM parent WHERE id = 4');
SELECT compare.fk('WITH u AS (UPDATE by_nothing SET parent_id = 2 WHERE parent_id = 5) DELETE FROM parent WHERE id = 5');
SELECT compare.fk('WITH u AS (UPDATE by_cascade SET parent_id = 2 WHERE parent_id = 3) DELETE FROM parent WHERE id = 3');
SELECT compare.fk('WITH i AS (INSERT INTO by_cascade VALUES (99, 3)) DELETE FROM parent WHERE id = 3');
SELECT compare.fk('WITH i AS (INSERT INTO by_cascade VALUES (99, 2)) DELETE FROM parent WHERE id = 2');
SELECT compare.fk('WITH i AS (INSERT INTO by_nothing VALUES (99, 2)) DELETE FROM parent WHERE id = 2');
-- one after the other in a transaction, with an error between them
SELECT compare.fk($q$DO $f$
BEGIN
	DELETE FROM by_restrict WHERE parent_id = 4;
	DELETE FROM parent WHERE id = 4;
	BEGIN
		DELETE FROM parent WHERE id = 5;
	EXCEPTION WHEN foreign_key_violation THEN
		DELETE FROM parent WHERE id = 3;
	END;
	BEGIN
		DELETE FROM parent WHERE id = 9;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	INSERT INTO by_cascade VALUES (99, 9);
	DELETE FROM parent WHERE id = 9;
END
$f$$q$);
-- the row itself may be new or have been changed by the same transaction
SELECT compare.fk('DO $f$BEGIN UPDATE parent SET v = 5; UPDATE by_cascade SET id = id; DELETE FROM parent WHERE id = 3; END$f$');
SELECT compare.fk('DO $f$BEGIN INSERT INTO parent VALUES (20); INSERT INTO by_cascade VALUES (201, 20), (202, 20); INSERT INTO grandchild VALUES (2011, 201); DELETE FROM parent WHERE id = 20; END$f$');
SELECT compare.fk('DO $f$BEGIN DELETE FROM by_cascade WHERE id = 31; DELETE FROM parent WHERE id = 3; END$f$');

--
-- What psql shows: the tag is the statement's own
--
SET search_path = soft;
\set QUIET off
BEGIN;
DELETE FROM parent WHERE id = 3;
DELETE FROM parent WHERE id = 3;
UPDATE parent SET deleted_at = now() WHERE id = 9;
MERGE INTO parent USING (VALUES (8), (11)) AS s (k) ON id = k WHEN MATCHED AND k = 11 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 1;
DELETE FROM parent WHERE id = 6 RETURNING *;
\echo ROW_COUNT :ROW_COUNT
DELETE FROM parent WHERE id IN (3, 5);
ROLLBACK;
DELETE FROM parent WHERE id = 5;
\echo :SQLSTATE
BEGIN;
SAVEPOINT s;
DELETE FROM parent WHERE id = 5;
ROLLBACK TO s;
DELETE FROM parent WHERE id = 3;
SAVEPOINT s;
DELETE FROM parent WHERE id = 9;
ROLLBACK TO s;
COMMIT;
\set QUIET on
RESET search_path;
DELETE FROM twin.parent WHERE id = 3;
SELECT compare.rows('SELECT * FROM by_cascade ORDER BY id'), compare.rows('SELECT id FROM parent'), compare.dangling();
-- what went together has one stamp, which no other deletion has
SELECT compare.keep('DELETE FROM parent WHERE id = 9');
SELECT deleted_at = (SELECT deleted_at FROM soft.parent WHERE id = 3 AND deleted_at IS NOT NULL) AS with_3, string_agg(id::text, ' ' ORDER BY id)
FROM soft.by_cascade WHERE deleted_at IS NOT NULL AND parent_id IN (3, 9) GROUP BY 1 ORDER BY 1;
-- an UPDATE that marks says when; it is what its children get
BEGIN;
UPDATE soft.parent SET deleted_at = '2001-02-03 04:05:06.789+00' WHERE id IN (11, 12);
SELECT id, CASE WHEN deleted_at < '2002-01-01' THEN deleted_at::text ELSE 'its own time' END FROM soft.by_cascade WHERE deleted_at IS NOT NULL AND parent_id IN (11, 12) ORDER BY id;
ROLLBACK;
BEGIN;
INSERT INTO soft.by_cascade VALUES (62, 6), (72, 7);
UPDATE soft.parent SET deleted_at = timestamptz '2001-01-01 00:00+00' + id * interval '1 day' WHERE id IN (6, 7);
SELECT id, deleted_at FROM soft.by_cascade WHERE deleted_at IS NOT NULL AND parent_id IN (6, 7) ORDER BY id;
ROLLBACK;

TRUNCATE compare.way;
DEALLOCATE leave;
SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
