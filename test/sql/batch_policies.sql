--
-- Batched jobs and what else holds for a table: soft delete, stamps, row-level
-- security, rights, triggers, rules.  A job does as the plain statement of the
-- same user does.
--
CREATE SCHEMA batch;
CREATE SCHEMA twin;
CREATE ROLE regress_orm_user;
CREATE ROLE regress_orm_clerk;
GRANT USAGE ON SCHEMA batch, twin TO PUBLIC;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
\pset format unaligned
\pset tuples_only on

-- Run statements in both schemas.
CREATE PROCEDURE compare.in_batch_and_twin(statements text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'batch', true);
	EXECUTE statements;
	PERFORM set_config('search_path', 'twin', true);
	EXECUTE statements;
END
$$;

-- The rows that differ, without what depends on the clock, or "equal".
CREATE FUNCTION compare.tables(name text, columns text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	result text;
BEGIN
	SET LOCAL orm_ext.deleted_rows = show;
	EXECUTE format('SELECT string_agg(d, E''\n'') FROM (
		SELECT ''only in batch: '' || differing::text FROM (SELECT %2$s FROM batch.%1$I AS t EXCEPT ALL SELECT %2$s FROM twin.%1$I AS t) AS differing
		UNION ALL
		SELECT ''only in twin: '' || differing::text FROM (SELECT %2$s FROM twin.%1$I AS t EXCEPT ALL SELECT %2$s FROM batch.%1$I AS t) AS differing) AS d (d)', name, columns) INTO result;
	RETURN coalesce(result, 'equal');
END
$$;

-- Do the same in both schemas as a role, and compare.
CREATE PROCEDURE compare.jobs(kind text, name text, set text, condition text, columns text DEFAULT '*', who name DEFAULT 'none', batch_size int DEFAULT 7, by text DEFAULT 'auto')
LANGUAGE plpgsql AS $$
DECLARE
	this bigint;
	rows_by_statement bigint;
	told record;
BEGIN
	PERFORM set_config('search_path', 'batch', false), set_config('role', who, false);
	IF kind = 'update' THEN
		CALL orm_ext.batch_update(name::regclass, set, condition, batch_size => jobs.batch_size, by => jobs.by, job => this);
	ELSE
		CALL orm_ext.batch_delete(name::regclass, condition, batch_size => jobs.batch_size, by => jobs.by, job => this);
	END IF;
	PERFORM set_config('search_path', 'twin', false);
	EXECUTE CASE kind WHEN 'update' THEN format('UPDATE %I SET %s', name, set) ELSE format('DELETE FROM %I', name) END
		|| coalesce(E'\nWHERE ' || condition, '');
	GET DIAGNOSTICS rows_by_statement = ROW_COUNT;
	SELECT j.state, j.by AS way, j.rows_done FROM orm_ext.batch_jobs AS j WHERE j.job = this INTO told;
	PERFORM set_config('search_path', '"$user", public', false), set_config('role', 'none', false);
	RAISE NOTICE '% %: % by %, % of % rows: %', kind, name, told.state, told.way, told.rows_done, rows_by_statement, compare.tables(name, columns);
END
$$;

--
-- Soft delete: a job marks as a DELETE does, and sees what one sees
--
SET client_min_messages = warning;
CALL compare.in_batch_and_twin($$
	CREATE TABLE post (id int PRIMARY KEY, n int DEFAULT 0, title text, deleted_at timestamptz);
	CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post ON DELETE CASCADE, n int DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE flagged (a int, n int DEFAULT 0, gone boolean NOT NULL DEFAULT false);
	INSERT INTO post SELECT i, 0, 'post ' || i FROM generate_series(1, 60) AS i;
	INSERT INTO comment SELECT i, i % 60 + 1 FROM generate_series(1, 120) AS i;
	INSERT INTO flagged SELECT i FROM generate_series(1, 60) AS i;
	SELECT orm_ext.enable_soft_delete('post');
	SELECT orm_ext.enable_soft_delete('comment');
	CREATE TRIGGER soft_delete BEFORE DELETE ON flagged FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
	DELETE FROM post WHERE id > 50 OR id < 5;
	DELETE FROM flagged WHERE a > 50;
$$);
RESET client_min_messages;
CALL compare.jobs('delete', 'post', NULL, 'id % 3 = 0', 'id, n, title, deleted_at IS NULL');
SELECT compare.tables('comment', 'id, n, deleted_at IS NULL');
CALL compare.jobs('delete', 'post', NULL, 'id % 3 = 0', 'id, n, title, deleted_at IS NULL');
CALL compare.jobs('delete', 'post', NULL, 'id % 4 = 0', 'id, n, title, deleted_at IS NULL', by => 'key');
CALL compare.jobs('delete', 'flagged', NULL, 'a % 2 = 0');
-- every deletion of a batch is one deletion
SELECT count(DISTINCT deleted_at) FROM batch.post WHERE deleted_at IS NOT NULL AND id % 3 = 0 AND id BETWEEN 5 AND 50;
-- the greatest keys are of deleted rows; they are not touched, unless they are meant
CALL compare.jobs('update', 'post', 'n = n + 1', NULL, 'id, n, title, deleted_at IS NULL');
CALL compare.jobs('update', 'post', 'n = n + 10', 'orm_ext.with_deleted(deleted_at)', 'id, n, title, deleted_at IS NULL');
CALL compare.jobs('update', 'flagged', 'n = 1', 'n = 0');
CALL compare.jobs('update', 'flagged', 'n = 2', 'n < 2 AND gone');
-- back, and for good
CALL compare.jobs('update', 'post', 'deleted_at = NULL', 'deleted_at IS NOT NULL AND id < 50', 'id, n, title, deleted_at IS NULL');
CALL compare.jobs('delete', 'post', NULL, 'deleted_at IS NOT NULL', 'id, n, title, deleted_at IS NULL');
CALL compare.jobs('delete', 'post', NULL, NULL, 'id, n, title, deleted_at IS NULL');
SET orm_ext.delete_mode = hard;
CALL compare.jobs('delete', 'flagged', NULL, 'a < 30');
RESET orm_ext.delete_mode;
SET orm_ext.deleted_rows = 'only';
CALL compare.jobs('update', 'flagged', 'n = n + 5', 'n < 5');
RESET orm_ext.deleted_rows;

--
-- Versions and timestamps
--
CALL compare.in_batch_and_twin($$
	CREATE TABLE stamped (id int PRIMARY KEY, n int DEFAULT 0, version_id int NOT NULL DEFAULT 1, updated_at timestamptz NOT NULL DEFAULT 'epoch', updated_by text);
	INSERT INTO stamped (id) SELECT i FROM generate_series(1, 40) AS i;
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version_id', 'updated=updated_at', 'updated_by=updated_by');
$$);
SET orm_ext.actor = 'the job';
CALL compare.jobs('update', 'stamped', 'n = n + 1', 'id % 2 = 0', 'id, n, version_id, updated_by, updated_at > now() - interval ''1 hour''');
CALL compare.jobs('update', 'stamped', 'n = 7', 'n <> 7', 'id, n, version_id, updated_by, updated_at > now() - interval ''1 hour''');
CALL compare.jobs('update', 'stamped', 'n = n', NULL, 'id, n, version_id, updated_by, updated_at > now() - interval ''1 hour''');
RESET orm_ext.actor;

--
-- Row-level security
--
CALL compare.in_batch_and_twin($$
	CREATE TABLE secret (id int PRIMARY KEY, owner text, n int DEFAULT 0, done boolean);
	INSERT INTO secret SELECT i, CASE WHEN i % 2 = 0 THEN 'regress_orm_user' ELSE 'another' END FROM generate_series(1, 60) AS i;
	GRANT ALL ON secret TO regress_orm_user;
	ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON secret USING (owner = current_user) WITH CHECK (owner = current_user AND n < 3);
	CREATE TABLE parted (id int, owner text, n int DEFAULT 0, done boolean, PRIMARY KEY (id, owner)) PARTITION BY LIST (owner);
	CREATE TABLE parted_user PARTITION OF parted FOR VALUES IN ('regress_orm_user');
	CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
	INSERT INTO parted SELECT i, CASE WHEN i % 3 = 0 THEN 'regress_orm_user' ELSE 'another' || i % 2 END FROM generate_series(1, 60) AS i;
	GRANT ALL ON parted TO regress_orm_user;
	ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON parted USING (owner <> 'another1');
$$);
CALL compare.jobs('update', 'secret', 'n = n + 1', NULL, who => 'regress_orm_user');
CALL compare.jobs('update', 'secret', 'done = true', 'done IS NULL', who => 'regress_orm_user');
CALL compare.jobs('update', 'parted', 'n = n + 1', NULL, who => 'regress_orm_user');
CALL compare.jobs('update', 'parted', 'done = true', 'done IS NULL', who => 'regress_orm_user');
CALL compare.jobs('update', 'parted', 'owner = ''new''', 'owner = ''regress_orm_user'' AND id < 30', who => 'regress_orm_user');
CALL compare.jobs('delete', 'parted', NULL, 'id % 4 = 0', who => 'regress_orm_user');
CALL compare.jobs('delete', 'secret', NULL, 'id % 3 = 0', who => 'regress_orm_user');
-- a row that the policy refuses
SET ROLE regress_orm_user;
UPDATE twin.secret SET n = 3 WHERE id = 20;
CALL orm_ext.batch_update('batch.secret', 'n = CASE id WHEN 20 THEN 3 ELSE n END', batch_size => 10);
SELECT state, rows_done, last_error FROM orm_ext.batch_jobs ORDER BY job DESC LIMIT 1;
-- whoever asks not to be filtered is told
SET row_security = off;
CALL orm_ext.batch_update('batch.secret', 'n = 1');
RESET row_security;
RESET ROLE;

--
-- Rights: those on the table that is named
--
CALL compare.in_batch_and_twin($$
	CREATE TABLE ledger (id int PRIMARY KEY, n int DEFAULT 0, secret text, done boolean) PARTITION BY RANGE (id);
	CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (1) TO (20);
	CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES FROM (20) TO (40);
	INSERT INTO ledger SELECT i FROM generate_series(1, 39) AS i;
	GRANT SELECT (id, n, done), UPDATE (n, done) ON ledger TO regress_orm_clerk;
	CREATE TABLE family (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE family_child (PRIMARY KEY (id)) INHERITS (family);
	INSERT INTO family SELECT i FROM generate_series(1, 20) AS i;
	INSERT INTO family_child SELECT i FROM generate_series(1, 20) AS i;
	GRANT SELECT, UPDATE, DELETE ON family TO regress_orm_clerk;
$$);
CALL compare.jobs('update', 'ledger', 'n = n + 1', NULL, who => 'regress_orm_clerk');
CALL compare.jobs('update', 'family', 'n = n + 1', NULL, who => 'regress_orm_clerk');
CALL compare.jobs('delete', 'family', NULL, 'id % 2 = 0', who => 'regress_orm_clerk');
SET ROLE regress_orm_clerk;
UPDATE twin.ledger SET secret = 'x';
CALL orm_ext.batch_update('batch.ledger', 'secret = ''x''');
DELETE FROM twin.ledger;
CALL orm_ext.batch_delete('batch.ledger');
CALL orm_ext.batch_update('batch.ledger_1', 'n = 1');
RESET ROLE;
-- taken away while the job is paused
CALL compare.in_batch_and_twin('UPDATE ledger SET n = 0');
SET ROLE regress_orm_clerk;
CALL orm_ext.batch_update('batch.ledger', 'n = 1 / (id - 13)', batch_size => 5);
SELECT max(job) AS last FROM orm_ext.batch_jobs \gset
RESET ROLE;
REVOKE UPDATE (n) ON batch.ledger FROM regress_orm_clerk;
SET ROLE regress_orm_clerk;
CALL orm_ext.batch_resume(:last);
RESET ROLE;
SELECT count(*) FROM batch.ledger WHERE id > 13 AND n <> 0;

--
-- Generated columns, rules, temporary tables, tables of the extension
--
CALL compare.in_batch_and_twin($$
	CREATE TABLE generated (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int DEFAULT 0, twice int GENERATED ALWAYS AS (n * 2) STORED);
	INSERT INTO generated (n) SELECT i FROM generate_series(1, 20) AS i;
	CREATE TABLE ruled (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE ruled_log (id int, n int);
	INSERT INTO ruled SELECT i FROM generate_series(1, 20) AS i;
	CREATE RULE note AS ON UPDATE TO ruled DO ALSO INSERT INTO ruled_log VALUES (OLD.id, OLD.n);
$$);
CALL compare.jobs('update', 'generated', 'n = n + 1', 'twice > 10');
CALL compare.jobs('update', 'generated', 'n = 0', 'twice > 10');
CALL compare.jobs('update', 'ruled', 'n = 5', 'n = 0', by => 'key');
SELECT count(*), count(DISTINCT id) FROM batch.ruled_log;
CREATE TEMP TABLE passing (id int PRIMARY KEY, n int DEFAULT 0);
INSERT INTO passing SELECT i FROM generate_series(1, 20) AS i;
CALL orm_ext.batch_update('passing', 'n = n + 1', batch_size => 7);
SELECT n, count(*) FROM passing GROUP BY n;
SET ROLE regress_orm_user;
CALL orm_ext.batch_delete('orm_ext.batch_job');
CALL orm_ext.batch_update('pg_catalog.pg_class', 'relname = relname');
RESET ROLE;

-- other isolation levels
SET default_transaction_isolation = 'repeatable read';
CALL compare.jobs('update', 'generated', 'n = n + 1', NULL);
SET default_transaction_isolation = 'serializable';
CALL compare.jobs('update', 'generated', 'n = n + 1', NULL);
RESET default_transaction_isolation;

SET client_min_messages = warning;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
DROP SCHEMA batch, twin CASCADE;
DROP FUNCTION compare.tables(text, text);
DROP PROCEDURE compare.jobs, compare.in_batch_and_twin;
DROP ROLE regress_orm_user, regress_orm_clerk;
