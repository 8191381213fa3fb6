--
-- The stamp: one value for all rows that one execution of a statement deletes,
-- and a later one for the next.
--
CREATE SCHEMA soft;
SET search_path = soft;

CREATE TABLE post (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE note (id int PRIMARY KEY, deleted_at bigint NOT NULL DEFAULT 0);
CREATE TRIGGER gone BEFORE DELETE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER gone BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO post SELECT generate_series(1, 200);
INSERT INTO note SELECT generate_series(1, 200);

-- deletions in their order: how many rows have which stamp
CREATE VIEW deletions AS
	SELECT string_agg(n || ' from ' || first, ', ' ORDER BY stamp) AS deletions
	FROM (SELECT count(*) AS n, min(id) AS first, deleted_at AS stamp
		  FROM post WHERE deleted_at IS NOT NULL GROUP BY deleted_at) AS d;
CREATE VIEW note_deletions AS
	SELECT string_agg(n || ' from ' || first, ', ' ORDER BY stamp) AS deletions
	FROM (SELECT count(*) AS n, min(id) AS first, deleted_at AS stamp
		  FROM note WHERE deleted_at <> 0 GROUP BY deleted_at) AS d;

-- statements of their own, and in one transaction
DELETE FROM post WHERE id <= 50;
BEGIN;
DELETE FROM post WHERE id <= 60;
DELETE FROM post WHERE id <= 70;
DELETE FROM note WHERE id <= 7;
DELETE FROM note WHERE id <= 9;
COMMIT;
TABLE deletions;
TABLE note_deletions;

-- a function that deletes twice, its plans cached from its first call on
CREATE FUNCTION twice(a int, b int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM post WHERE id = a OR id = a + 1;
	DELETE FROM post WHERE id = b;
END
$$;
SELECT twice(71, 73);
SELECT twice(74, 76);
TABLE deletions;

-- a function that is called for every row of a query deletes as often
CREATE FUNCTION leave(key int) RETURNS void LANGUAGE plpgsql AS
	'BEGIN DELETE FROM post WHERE id BETWEEN key AND key + 1; END';
SELECT leave(i) FROM generate_series(101, 105, 2) AS i;
TABLE deletions;

-- a prepared statement, with a generic plan
PREPARE leave (int) AS DELETE FROM post WHERE id <= $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE leave (80);
EXECUTE leave (90);
TABLE deletions;

-- a statement has one stamp, whatever of it deletes
WITH d AS (DELETE FROM post WHERE id BETWEEN 91 AND 95) DELETE FROM post WHERE id BETWEEN 96 AND 100;
SELECT count(*), count(DISTINCT deleted_at) FROM post WHERE id BETWEEN 91 AND 100 AND deleted_at IS NOT NULL;
WITH d AS (DELETE FROM post WHERE id BETWEEN 111 AND 115), e AS (DELETE FROM post WHERE id BETWEEN 116 AND 120) SELECT 1;
SELECT count(*), count(DISTINCT deleted_at) FROM post WHERE id BETWEEN 111 AND 120 AND deleted_at IS NOT NULL;
MERGE INTO post AS p USING generate_series(131, 140) AS g ON g = p.id
	WHEN MATCHED AND g < 135 THEN DELETE WHEN MATCHED AND g < 138 THEN DELETE WHEN MATCHED THEN DELETE;
SELECT count(*), count(DISTINCT deleted_at) FROM post WHERE id BETWEEN 131 AND 140 AND deleted_at IS NOT NULL;
-- but what its triggers and functions delete are deletions of their own
SELECT leave(141), leave(143);
SELECT count(*), count(DISTINCT deleted_at) FROM post WHERE id BETWEEN 141 AND 144 AND deleted_at IS NOT NULL;
CREATE FUNCTION leave_note() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN DELETE FROM note WHERE id = new.id; RETURN NULL; END';
CREATE TRIGGER leave_note AFTER UPDATE OF deleted_at ON post FOR EACH ROW EXECUTE FUNCTION leave_note();
INSERT INTO note SELECT generate_series(301, 312);
INSERT INTO post SELECT generate_series(301, 312);
WITH d AS (DELETE FROM post WHERE id BETWEEN 301 AND 306) DELETE FROM post WHERE id BETWEEN 307 AND 312;
SELECT count(*), count(DISTINCT deleted_at) FROM post WHERE id BETWEEN 301 AND 312 AND deleted_at IS NOT NULL;
SELECT count(*), count(DISTINCT deleted_at) FROM note WHERE id BETWEEN 301 AND 312 AND deleted_at <> 0;
-- however many there are of them in between
CREATE TRIGGER leave_note_before BEFORE UPDATE OF deleted_at ON post FOR EACH ROW EXECUTE FUNCTION leave_note();
DROP TRIGGER leave_note ON post;
CREATE OR REPLACE FUNCTION leave_note() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN DELETE FROM note WHERE id = new.id; RETURN new; END';
INSERT INTO note SELECT generate_series(321, 360);
INSERT INTO post SELECT generate_series(321, 360);
SET enable_hashjoin = off;
SET enable_nestloop = off;
WITH d AS (DELETE FROM post WHERE id BETWEEN 321 AND 340 RETURNING id)
	DELETE FROM post USING d WHERE post.id = d.id + 20;
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT count(*), count(DISTINCT deleted_at) FROM post WHERE id BETWEEN 321 AND 360 AND deleted_at IS NOT NULL;
SELECT count(*), count(DISTINCT deleted_at) FROM note WHERE id BETWEEN 321 AND 360 AND deleted_at <> 0;
DROP TRIGGER leave_note_before ON post;
-- a subtransaction that is undone gives its stamp to nobody
BEGIN;
SAVEPOINT s;
DELETE FROM post WHERE id = 151;
SELECT deleted_at AS undone FROM post WHERE id = 151 AND deleted_at IS NOT NULL \gset
ROLLBACK TO s;
DELETE FROM post WHERE id = 152;
SELECT deleted_at > :'undone' AS later FROM post WHERE id = 152 AND deleted_at IS NOT NULL;
COMMIT;

-- a loop that never waits for the clock
DO $$
BEGIN
	FOR i IN 10..200 LOOP
		DELETE FROM note WHERE id = i;
	END LOOP;
END
$$;
SELECT count(DISTINCT deleted_at) FROM note WHERE deleted_at <> 0 AND id >= 10;

-- the stamp is the statement's time
INSERT INTO post VALUES (1000);
BEGIN;
SELECT now() AS begun, clock_timestamp() AS before \gset
DELETE FROM post WHERE id = 1000;
SELECT deleted_at > :'before' AND deleted_at < clock_timestamp() AND now() = :'begun' AS in_time
FROM post WHERE id = 1000 AND deleted_at IS NOT NULL;
ROLLBACK;

-- parallel or not, joins that rescan or not: still one stamp
INSERT INTO post SELECT generate_series(2001, 2300);
ANALYZE post;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
DELETE FROM post AS p USING generate_series(2001, 2300) AS g WHERE g = p.id;
SELECT count(DISTINCT deleted_at), count(*) FROM post WHERE id > 2000 AND deleted_at IS NOT NULL;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
