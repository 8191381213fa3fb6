--
-- When rows are really removed: a DELETE from the bin, orm_ext.delete_mode =
-- hard, and TRUNCATE only under the latter.
--
CREATE SCHEMA soft;
SET search_path = soft;

CREATE TABLE by_timestamptz (id int PRIMARY KEY, gone timestamptz);
CREATE TABLE by_timestamp (id int PRIMARY KEY, gone timestamp);
CREATE TABLE by_boolean (id int PRIMARY KEY, gone boolean NOT NULL DEFAULT false);
CREATE TABLE by_bigint (id int PRIMARY KEY, gone bigint NOT NULL DEFAULT 0);
INSERT INTO by_timestamptz SELECT i, CASE WHEN i % 2 = 0 THEN now() - i * interval '1 day' END FROM generate_series(1, 20) AS i;
INSERT INTO by_timestamp SELECT i, CASE WHEN i % 2 = 0 THEN localtimestamp - i * interval '1 day' END FROM generate_series(1, 20) AS i;
INSERT INTO by_boolean SELECT i, i % 2 = 0 FROM generate_series(1, 20) AS i;
INSERT INTO by_bigint SELECT i, CASE WHEN i % 2 = 0 THEN 1000 + i ELSE 0 END FROM generate_series(1, 20) AS i;
CREATE TRIGGER gone BEFORE DELETE ON by_timestamptz FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
CREATE TRIGGER gone BEFORE DELETE ON by_timestamp FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
CREATE TRIGGER gone BEFORE DELETE ON by_boolean FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
CREATE TRIGGER gone BEFORE DELETE ON by_bigint FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');

-- What a DELETE answers, and what is there afterwards; before it there are ten
-- live rows and ten deleted ones.
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	name text := substring(statement FROM '(?:FROM|INTO)\s+(?:ONLY\s+)?(\w+)');
	live int;
	deleted int;
	tag int;
BEGIN
	EXECUTE statement;
	GET DIAGNOSTICS tag = ROW_COUNT;
	EXECUTE format('SELECT count(*) FROM %I', name) INTO live;
	SET LOCAL orm_ext.deleted_rows = 'only';
	EXECUTE format('SELECT count(*) FROM %I', name) INTO deleted;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN format('DELETE %s: %s live, %s deleted', tag, live, deleted);
END
$$;
\pset format unaligned
\pset tuples_only on

--
-- From the bin: conditions that only deleted rows meet
--
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NOT NULL');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone < now() - interval ''7 days''');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NOT NULL AND id IN (4, 5, 6)');
SELECT outcome('DELETE FROM by_timestamptz AS t WHERE t.id > 9 AND now() > t.gone');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone BETWEEN now() - interval ''9 days'' AND now()');
SELECT outcome('DELETE FROM by_timestamptz WHERE NOT gone IS NULL');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NOT NULL AND (id = 2 OR id = 4)');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone < ''yesterday'' OR gone = ''infinity''');
SELECT outcome('DELETE FROM by_timestamptz USING generate_series(1, 4) AS g (id) WHERE by_timestamptz.id = g.id AND gone IS NOT NULL');
SELECT outcome('DELETE FROM by_timestamp WHERE gone IS NOT NULL');
SELECT outcome('DELETE FROM by_timestamp WHERE gone < localtimestamp - interval ''7 days''');
SELECT outcome('DELETE FROM by_timestamp WHERE gone < now() - interval ''7 days''');
SELECT outcome('DELETE FROM by_boolean WHERE gone');
SELECT outcome('DELETE FROM by_boolean WHERE gone AND id < 7');
SELECT outcome('DELETE FROM by_boolean WHERE gone = true');
SELECT outcome('DELETE FROM by_boolean WHERE gone IS TRUE');
SELECT outcome('DELETE FROM by_boolean WHERE gone <> false');
SELECT outcome('DELETE FROM by_bigint WHERE gone <> 0');
SELECT outcome('DELETE FROM by_bigint WHERE gone > 0');
SELECT outcome('DELETE FROM by_bigint WHERE gone > 1010');
SELECT outcome('DELETE FROM by_bigint WHERE gone = 1004');
SELECT outcome('DELETE FROM by_bigint WHERE gone IN (1004, 1006)');
SELECT outcome('DELETE FROM by_bigint WHERE gone BETWEEN 1003 AND 1009');

-- in a CTE, and with a parameter
SELECT outcome('WITH d AS (DELETE FROM by_timestamptz WHERE gone IS NOT NULL RETURNING id) SELECT * FROM d');
PREPARE purge (interval) AS DELETE FROM by_timestamptz WHERE gone < now() - $1 RETURNING id;
BEGIN;
EXECUTE purge ('15 days');
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE purge ('12 days');
SELECT count(*) FROM by_timestamptz WHERE gone IS NULL OR gone IS NOT NULL;
ROLLBACK;
-- RETURNING shows a row that is gone for good as it was
BEGIN;
DELETE FROM by_bigint WHERE gone = 1004 RETURNING *;
DELETE FROM by_bigint WHERE gone = 1004 RETURNING *;
ROLLBACK;

--
-- Not from the bin: conditions that live rows may meet as well.  Nothing that
-- is deleted already is deleted again.
--
SELECT outcome('DELETE FROM by_timestamptz');
SELECT outcome('DELETE FROM by_timestamptz WHERE id = 2');
SELECT outcome('DELETE FROM by_timestamptz WHERE id = 3');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NULL');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NULL AND id = 2');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NULL OR gone IS NOT NULL');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS NOT NULL OR id = 3');
SELECT outcome('DELETE FROM by_timestamptz WHERE orm_ext.with_deleted(gone)');
SELECT outcome('DELETE FROM by_timestamptz WHERE coalesce(gone, now()) > now() - interval ''9 days''');
SELECT outcome('DELETE FROM by_timestamptz WHERE gone IS DISTINCT FROM now()');
SELECT outcome('DELETE FROM by_timestamptz WHERE (SELECT true WHERE gone IS NOT NULL)');
SELECT outcome('DELETE FROM by_timestamptz WHERE id IN (SELECT t.id FROM by_timestamptz AS t WHERE t.gone IS NOT NULL)');
SELECT outcome('DELETE FROM by_boolean WHERE NOT gone');
SELECT outcome('DELETE FROM by_boolean WHERE gone IS NOT NULL');
SELECT outcome('DELETE FROM by_boolean WHERE gone OR id = 3');
SELECT outcome('DELETE FROM by_bigint WHERE gone = 0');
SELECT outcome('DELETE FROM by_bigint WHERE gone >= 0');
SELECT outcome('DELETE FROM by_bigint WHERE gone < 1000');
SELECT outcome('DELETE FROM by_bigint WHERE gone IS NOT NULL');

-- a view of the bin: its condition is the DELETE's
CREATE VIEW bin AS SELECT id, gone FROM by_timestamptz WHERE gone IS NOT NULL;
CREATE VIEW barrier_bin WITH (security_barrier) AS SELECT id FROM by_boolean WHERE gone;
BEGIN;
DELETE FROM bin WHERE id <= 4 RETURNING id;
SELECT count(*) FROM by_timestamptz WHERE gone IS NOT NULL;
DELETE FROM barrier_bin WHERE id <= 6 RETURNING id;
SELECT count(*) FROM by_boolean WHERE gone;
ROLLBACK;

--
-- orm_ext.delete_mode = hard: every DELETE is real, of what is visible
--
SELECT outcome('DELETE FROM by_timestamptz WHERE id < 5');
SET orm_ext.delete_mode = hard;
SELECT outcome('DELETE FROM by_timestamptz WHERE id < 5');
SELECT outcome('DELETE FROM by_bigint');
SELECT outcome('DELETE FROM by_boolean WHERE gone OR NOT gone');
SELECT outcome('DELETE FROM by_timestamp WHERE orm_ext.with_deleted(gone)');
SELECT outcome('WITH d AS (DELETE FROM by_timestamp WHERE id < 4 RETURNING id) SELECT * FROM d');
RESET orm_ext.delete_mode;
-- cached plans follow
PREPARE leave (int) AS DELETE FROM by_boolean WHERE id = $1 RETURNING *;
CREATE FUNCTION there(key int) RETURNS bigint LANGUAGE plpgsql AS
	'BEGIN RETURN (SELECT count(*) FROM by_boolean WHERE id = key AND gone IN (true, false)); END';
BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE leave (1);
SELECT there(1);
SAVEPOINT s;
SET LOCAL orm_ext.delete_mode = hard;
EXECUTE leave (3);
SELECT there(3);
ROLLBACK TO s;
EXECUTE leave (3);
SELECT there(3);
SET LOCAL orm_ext.delete_mode = hard;
EXECUTE leave (5);
SELECT there(5);
SET LOCAL orm_ext.delete_mode = soft;
EXECUTE leave (7);
SELECT there(7);
ROLLBACK;
CREATE FUNCTION leave_hard(key int) RETURNS SETOF by_boolean LANGUAGE sql SET orm_ext.delete_mode = hard
	AS 'DELETE FROM by_boolean WHERE id = key RETURNING *';
BEGIN;
SELECT leave_hard(9);
SELECT there(9);
EXECUTE leave (11);
SELECT there(11);
ROLLBACK;
SET orm_ext.delete_mode = none;
SHOW orm_ext.delete_mode;

--
-- TRUNCATE
--
TRUNCATE by_boolean;
\echo SQLSTATE :SQLSTATE
TRUNCATE TABLE ONLY by_bigint RESTART IDENTITY;
CREATE TABLE other (id int);
TRUNCATE other, by_boolean;
TRUNCATE other;
BEGIN;
SET LOCAL orm_ext.delete_mode = hard;
TRUNCATE by_boolean, other;
SELECT count(*) FROM by_boolean WHERE gone IN (true, false);
ROLLBACK;
-- a table that would be reached by CASCADE
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY REFERENCES parent);
CREATE TABLE grandchild (id int REFERENCES child, gone timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON grandchild FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
TRUNCATE parent;
TRUNCATE parent CASCADE;
\echo SQLSTATE :SQLSTATE
-- partitions, also where only one is under soft delete
CREATE TABLE whole (id int, gone timestamptz) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF whole FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF whole FOR VALUES IN (2);
CREATE TRIGGER gone BEFORE DELETE ON part_2 FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
TRUNCATE part_1;
TRUNCATE part_2;
TRUNCATE whole;
DROP TRIGGER gone ON part_2;
CREATE TRIGGER gone BEFORE DELETE ON whole FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
TRUNCATE part_1;
-- and inheritance children
CREATE TABLE base (id int);
CREATE TABLE derived (gone timestamptz) INHERITS (base);
CREATE TRIGGER gone BEFORE DELETE ON derived FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
TRUNCATE base;
TRUNCATE ONLY base;
-- who may not truncate is told so
CREATE ROLE regress_orm_reader;
GRANT USAGE ON SCHEMA soft TO regress_orm_reader;
GRANT SELECT, DELETE ON by_boolean TO regress_orm_reader;
SET ROLE regress_orm_reader;
TRUNCATE by_boolean;
RESET ROLE;
-- where the trigger is off, TRUNCATE is on
BEGIN;
ALTER TABLE by_boolean DISABLE TRIGGER gone;
TRUNCATE by_boolean;
ROLLBACK;
-- errors of the server's own
TRUNCATE no_such_table;
TRUNCATE bin;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_reader;
