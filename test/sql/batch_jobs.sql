--
-- The jobs themselves: what is refused, what is told of them, how they fail and
-- go on, and whose they are.
--
CREATE SCHEMA batch;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
\pset format unaligned
SET search_path = batch;

CREATE TABLE account (id int PRIMARY KEY, email text, n int NOT NULL DEFAULT 0, done boolean);
INSERT INTO account SELECT i, 'Person' || i || '@example.com' FROM generate_series(1, 40) AS i;
ANALYZE account;
CREATE VIEW jobs AS SELECT job, kind, target, set_list, condition, by, state, request, rows_done, batches, retries, estimate, percent, last_error, owner, pid IS NOT NULL AS has_pid,
	eta IS NOT NULL AS has_eta, updated >= started AS updated FROM orm_ext.batch_jobs ORDER BY job;

--
-- What is refused before anything is done
--
\set SHOW_CONTEXT never
-- in a transaction, however it came about
BEGIN;
CALL orm_ext.batch_update('account', 'n = 1');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
CALL orm_ext.batch_delete('account');
ROLLBACK;
SELECT 1 \; CALL orm_ext.batch_update('account', 'n = 1');
CREATE FUNCTION within() RETURNS void LANGUAGE plpgsql AS $$ DECLARE job bigint; BEGIN CALL orm_ext.batch_update('account', 'n = 1', job => job); END $$;
SELECT within();
\echo :LAST_ERROR_SQLSTATE
DO $$ DECLARE job bigint; BEGIN CALL orm_ext.batch_update('account', 'n = 1', job => job); EXCEPTION WHEN division_by_zero THEN NULL; END $$;
CREATE PROCEDURE with_setting() LANGUAGE plpgsql SET work_mem = '1MB' AS $$ DECLARE job bigint; BEGIN CALL orm_ext.batch_update('account', 'n = 1', job => job); END $$;
CALL with_setting();
CREATE PROCEDURE as_definer() LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE job bigint; BEGIN CALL orm_ext.batch_update('account', 'n = 1', job => job); END $$;
CALL as_definer();
BEGIN;
CALL orm_ext.batch_resume(1);
ROLLBACK;
-- where nothing may be written
SET default_transaction_read_only = on;
CALL orm_ext.batch_update('account', 'n = 1');
CALL orm_ext.batch_pause(1);
RESET default_transaction_read_only;
-- arguments
CALL orm_ext.batch_update(NULL, 'n = 1');
CALL orm_ext.batch_update('account', NULL);
CALL orm_ext.batch_update('account', 'n = 1', batch_size => 0);
CALL orm_ext.batch_update('account', 'n = 1', batch_size => 1000001);
CALL orm_ext.batch_update('account', 'n = 1', pause => '-1 s');
CALL orm_ext.batch_update('account', 'n = 1', by => 'magic');
CALL orm_ext.batch_update('account', 'n = 1', target_time => '0');
CALL orm_ext.batch_update('account', 'n = 1', lock_timeout => '1 year');
CALL orm_ext.batch_update('account', 'n = 1', max_retries => -1);
CALL orm_ext.batch_update('account', 'n = 1', max_replica_lag => '-1 s');
CALL orm_ext.batch_update('account', 'n = 1', max_wal_rate => 0);
-- SET and condition are what they are to be, and nothing else
CALL orm_ext.batch_update('account', 'n = 1 WHERE false');
CALL orm_ext.batch_update('account', 'n = 1; DROP TABLE account');
CALL orm_ext.batch_update('account', 'n = 1 FROM account AS a');
CALL orm_ext.batch_update('account', 'n = 1 RETURNING n');
CALL orm_ext.batch_update('account', 'n =');
CALL orm_ext.batch_update('account', 'n = 1, nn = 2');
CALL orm_ext.batch_update('account', 'n = $1');
CALL orm_ext.batch_update('account', 'n = ''x''');
CALL orm_ext.batch_update('account', 'n = 1', 'true) OR (true');
CALL orm_ext.batch_update('account', 'n = 1', 'true; SELECT 1');
CALL orm_ext.batch_update('account', 'n = 1', 'true, true');
CALL orm_ext.batch_update('account', 'n = 1', 'true LIMIT 1');
CALL orm_ext.batch_update('account', 'n = 1', 'true AS a');
CALL orm_ext.batch_update('account', 'n = 1', 'n');
CALL orm_ext.batch_update('account', 'n = 1', 'id = $1');
CALL orm_ext.batch_update('account', 'n = 1', '');
CALL orm_ext.batch_update('account', 'n = 1', 'id >');
CALL orm_ext.batch_update('account', 'n = 1', 'true /* no end');
-- what is no table
CALL orm_ext.batch_update('jobs', 'kind = 1');
CALL orm_ext.batch_update('account_pkey', 'n = 1');
CALL orm_ext.batch_update(0, 'n = 1');
CALL orm_ext.batch_update('orm_ext.batch_job_id_seq', 'last_value = 1');
CREATE FOREIGN DATA WRAPPER regress_orm_fdw;
CREATE SERVER regress_orm_server FOREIGN DATA WRAPPER regress_orm_fdw;
CREATE TABLE mixed (id int) PARTITION BY LIST (id);
CREATE TABLE mixed_here PARTITION OF mixed FOR VALUES IN (1);
CREATE FOREIGN TABLE mixed_there PARTITION OF mixed FOR VALUES IN (2) SERVER regress_orm_server;
CALL orm_ext.batch_delete('mixed');
SELECT count(*) FROM jobs;
\set VERBOSITY default

--
-- Told, not done
--
CALL orm_ext.batch_update('account', 'n = n + 1', batch_size => 15, dry_run => true);
CALL orm_ext.batch_update('account', 'done = true', 'done IS NULL', dry_run => true);
CALL orm_ext.batch_delete('account', 'n = 7', by => 'key', batch_size => 15, dry_run => true);
BEGIN READ ONLY;
CALL orm_ext.batch_delete('account', 'n = 7', dry_run => true);
COMMIT;
CALL orm_ext.batch_update('account', 'n = n + 1', 'account.', dry_run => true);
SELECT count(*) FROM jobs;
SELECT sum(n) FROM account;

--
-- Done
--
CALL orm_ext.batch_update('account', 'n = n + 1', batch_size => 15);
CALL orm_ext.batch_update('account', 'done = true', 'done IS NULL', 15, progress => true);
CALL orm_ext.batch_delete('account', 'id > 30', 15);
CALL orm_ext.batch_update(rel => 'account', set => 'n = n + 1', "where" => 'id % 2 = 0', batch_size => NULL, pause => NULL, by => NULL, lock_timeout => NULL, max_retries => NULL, verify => NULL, progress => NULL);
SELECT * FROM jobs;
SELECT n, done, count(*) FROM account GROUP BY 1, 2 ORDER BY 1;
DO $$
DECLARE
	job bigint;
BEGIN
	FOR i IN 1..2 LOOP
		CALL orm_ext.batch_update('account', 'n = n + 1', job => job);
		RAISE NOTICE 'job %', job;
	END LOOP;
END
$$;
-- pauses, and batches whose size is adapted
CALL orm_ext.batch_update('account', 'n = n + 1', batch_size => 10, pause => '1 ms', target_time => '1 min', max_wal_rate => 10000000, max_replica_lag => '1 s');
SELECT batches FROM jobs ORDER BY job DESC LIMIT 1;
SELECT min(n), max(n) FROM account;

--
-- An error of one row: what comes before it is done, and the row is named
--
CALL orm_ext.batch_update('account', 'n = 100 / (id - 13)', batch_size => 10);
SELECT job, state, rows_done, percent, last_error FROM jobs ORDER BY job DESC LIMIT 1;
SELECT min(id) FILTER (WHERE n < 0), max(id) FILTER (WHERE n < 0), count(*) FILTER (WHERE n < 0) FROM account;
CALL orm_ext.batch_resume(8);
-- it goes on once the row is made good
UPDATE account SET id = 1013 WHERE id = 13;
CALL orm_ext.batch_resume(8);
SELECT job, state, rows_done, last_error FROM jobs ORDER BY job DESC LIMIT 1;
SELECT count(*) FROM account WHERE n <> 100 / (id - 13);
-- the same by ctid
CALL orm_ext.batch_delete('account', '100 / (id - 7) < 0', batch_size => 10, by => 'ctid');
SELECT job, state, rows_done, last_error FROM jobs ORDER BY job DESC LIMIT 1;
SELECT count(*) FROM account WHERE id < 7;
CALL orm_ext.batch_cancel(9);
CALL orm_ext.batch_resume(9);
CALL orm_ext.batch_cancel(9);
CALL orm_ext.batch_resume(8);
CALL orm_ext.batch_pause(8);
CALL orm_ext.batch_cancel(8);
CALL orm_ext.batch_resume(99);
CALL orm_ext.batch_pause(99);
CALL orm_ext.batch_cancel(NULL);
-- constraints that are checked when the transaction ends
CREATE TABLE deferred (id int PRIMARY KEY, n int, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO deferred SELECT i, i FROM generate_series(1, 30) AS i;
CALL orm_ext.batch_update('deferred', 'n = CASE WHEN id = 22 THEN 1 ELSE n END', batch_size => 7);
SELECT job, state, rows_done, last_error FROM jobs ORDER BY job DESC LIMIT 1;
-- within a batch they may be broken
UPDATE deferred SET n = n;
CALL orm_ext.batch_update('deferred', 'n = 31 - n', batch_size => 30);
SELECT count(*) FROM deferred WHERE n = 31 - id;

--
-- Triggers see a statement for each batch; one that changes rows back is found out
--
CREATE TABLE stubborn (id int, n int, done boolean);
INSERT INTO stubborn SELECT i FROM generate_series(1, 20) AS i;
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.done := NULL; RETURN NEW; END $$;
CREATE TRIGGER undo BEFORE UPDATE ON stubborn FOR EACH ROW EXECUTE FUNCTION undo();
CALL orm_ext.batch_update('stubborn', 'done = true', 'done IS NULL');
SELECT state, rows_done, last_error FROM jobs ORDER BY job DESC LIMIT 1;
ALTER TABLE stubborn ADD PRIMARY KEY (id);
CALL orm_ext.batch_update('stubborn', 'done = true, n = coalesce(n, 0) + 1', 'done IS NULL', by => 'key', batch_size => 7);
SELECT state, rows_done FROM jobs ORDER BY job DESC LIMIT 1;
SELECT n, count(*) FROM stubborn GROUP BY n;

-- a job from within a job, and one that asks something of itself
CREATE TABLE outer_table (id int PRIMARY KEY, n int DEFAULT 0);
INSERT INTO outer_table SELECT i FROM generate_series(1, 10) AS i;
CREATE FUNCTION nested(what text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE what;
	RETURN 1;
END
$$;
\set VERBOSITY terse
CALL orm_ext.batch_update('outer_table', 'n = nested(''CALL orm_ext.batch_update(''''account'''', ''''n = 1'''')'')');
\set VERBOSITY default
SELECT max(job) AS last FROM jobs \gset
CALL orm_ext.batch_update('outer_table', format('n = nested(''CALL orm_ext.batch_pause(%s)'')', :last + 1), 'id <= 3', batch_size => 3);
SELECT state, rows_done FROM jobs ORDER BY job DESC LIMIT 1;
SELECT id, n FROM outer_table WHERE n > 0 ORDER BY id;
SELECT max(job) AS last FROM jobs \gset
CALL orm_ext.batch_cancel(:last);
SELECT state, rows_done FROM jobs ORDER BY job DESC LIMIT 1;

--
-- What was meant when the job began is meant when it goes on
--
CREATE SCHEMA other;
CREATE FUNCTION batch.step() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION other.step() RETURNS int LANGUAGE sql AS 'SELECT 100';
UPDATE outer_table SET n = 0;
SET datestyle = 'German, DMY';
CALL orm_ext.batch_update('outer_table', 'n = n + step() / (id - 5)', 'DATE ''1.2.2020'' = make_date(2020, 2, 1)', batch_size => 2);
SET search_path = other;
SET datestyle = 'ISO, MDY';
UPDATE batch.outer_table SET id = 55 WHERE id = 5;
SELECT max(job) AS last FROM batch.jobs \gset
CALL orm_ext.batch_resume(:last);
SHOW search_path;
SHOW datestyle;
SELECT id, n FROM batch.outer_table ORDER BY id;
SET search_path = batch;
DROP SCHEMA other CASCADE;

-- the table is gone, or its key
CALL orm_ext.batch_update('outer_table', 'n = 1 / (id - 7)', batch_size => 2);
SELECT max(job) AS last FROM jobs \gset
ALTER TABLE outer_table DROP CONSTRAINT outer_table_pkey;
ALTER TABLE outer_table ADD other_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
UPDATE outer_table SET id = 77 WHERE id = 7;
CALL orm_ext.batch_resume(:last);
CREATE UNIQUE INDEX ON outer_table (id);
CALL orm_ext.batch_resume(:last);
ALTER TABLE outer_table ALTER id SET NOT NULL, DROP other_id;
CALL orm_ext.batch_resume(:last);
SELECT count(*) FROM outer_table WHERE n <> 1 / (id - 7);
CALL orm_ext.batch_update('outer_table', 'n = 1 / (id - 8)', batch_size => 2);
SELECT max(job) AS last FROM jobs \gset
DROP TABLE outer_table;
CALL orm_ext.batch_resume(:last);
-- ... or has been written anew
CREATE TABLE rewritten (id int, done boolean);
INSERT INTO rewritten SELECT i FROM generate_series(1, 1000) AS i;
DELETE FROM rewritten WHERE id < 400;
CALL orm_ext.batch_update('rewritten', 'done = 1 / (id - 700) IS NOT NULL', 'done IS NULL', batch_size => 100, by => 'ctid');
SELECT max(job) AS last FROM jobs \gset
VACUUM FULL rewritten;
DELETE FROM rewritten WHERE id = 700;
CALL orm_ext.batch_resume(:last);
SELECT done, count(*) FROM rewritten GROUP BY done;

--
-- Whose they are
--
RESET search_path;
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_member IN ROLE regress_orm_owner;
CREATE ROLE regress_orm_stranger;
CREATE ROLE regress_orm_monitor IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA batch TO PUBLIC;
CREATE TABLE batch.own (id int PRIMARY KEY, n int DEFAULT 0);
INSERT INTO batch.own SELECT i FROM generate_series(1, 10) AS i;
ALTER TABLE batch.own OWNER TO regress_orm_owner;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
SET ROLE regress_orm_owner;
CALL orm_ext.batch_update('batch.own', 'n = 1 / (id - 6)', batch_size => 3);
SELECT job, target, state, owner FROM orm_ext.batch_jobs;
-- written by orm_ext alone
SELECT count(*) FROM orm_ext.batch_job;
UPDATE orm_ext.batch_job SET owner = 10;
INSERT INTO orm_ext.batch_job (kind) VALUES ('delete');
UPDATE orm_ext.batch_jobs SET owner = 10;
SELECT nextval('orm_ext.batch_job_id_seq');
SET ROLE regress_orm_stranger;
SELECT count(*) FROM orm_ext.batch_jobs;
CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
SELECT job FROM orm_ext.batch_jobs WHERE pg_temp.tell(set_list);
CALL orm_ext.batch_resume(1);
CALL orm_ext.batch_pause(1);
CALL orm_ext.batch_cancel(1);
CALL orm_ext.batch_update('batch.own', 'n = 1');
CALL orm_ext.batch_update('batch.own', 'n = 1', dry_run => true);
SET ROLE regress_orm_member;
SELECT job, target, state, owner FROM orm_ext.batch_jobs;
CALL orm_ext.batch_resume(1);
CALL orm_ext.batch_pause(1);
CALL orm_ext.batch_cancel(1);
SET ROLE regress_orm_monitor;
SELECT job, target, state, owner FROM orm_ext.batch_jobs;
CALL orm_ext.batch_cancel(1);
RESET ROLE;
CALL orm_ext.batch_update('batch.own', 'n = n + 1', 'id > 5');
SELECT job, state, owner FROM orm_ext.batch_jobs ORDER BY job;
SET ROLE regress_orm_owner;
SELECT job, state, owner FROM orm_ext.batch_jobs ORDER BY job;
RESET ROLE;
-- nobody may do as a job of his own what he may not do himself
GRANT SELECT, UPDATE (n) ON batch.own TO regress_orm_stranger;
SET ROLE regress_orm_stranger;
CALL orm_ext.batch_update('batch.own', 'n = 7');
CALL orm_ext.batch_update('batch.own', 'id = id + 100', 'id < 100');
CALL orm_ext.batch_delete('batch.own');
RESET ROLE;
SELECT n, count(*) FROM batch.own GROUP BY n;

SET client_min_messages = warning;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
DROP SCHEMA batch CASCADE;
DROP FUNCTION pg_temp.tell(text);
DROP FOREIGN DATA WRAPPER regress_orm_fdw CASCADE;
DROP ROLE regress_orm_owner, regress_orm_member, regress_orm_stranger, regress_orm_monitor;
