--
-- purge(): rows that were deleted softly leave for good, each with all that
-- refers to it, or not at all.
--
CREATE SCHEMA purge;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
SET search_path = purge;
SET client_min_messages = warning;
\pset format unaligned
\set SHOW_CONTEXT never
CREATE ROLE regress_orm_purger;
GRANT USAGE ON SCHEMA purge TO regress_orm_purger;

-- Both numbers of rows of a table, whatever is hidden: "live | deleted".
CREATE FUNCTION rows_of(rel regclass, live text DEFAULT 'deleted_at IS NULL') RETURNS text
LANGUAGE plpgsql SET orm_ext.deleted_rows = show AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT concat_ws('' | '', count(*) FILTER (WHERE %s), count(*) FILTER (WHERE NOT (%1$s))) FROM %s', live, rel) INTO result;
	RETURN result;
END
$$;

--
-- One table: every kind of marker, and what is old enough
--
CREATE TABLE note (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE note_plain (id int PRIMARY KEY, deleted_at timestamp);
CREATE TABLE note_micros (id int PRIMARY KEY, deleted_at bigint NOT NULL DEFAULT 0);
CREATE TABLE note_flag (id int PRIMARY KEY, deleted_at boolean NOT NULL DEFAULT false);
SELECT count(*) FROM unnest('{note,note_plain,note_micros,note_flag}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
-- live, deleted just now, and so many days ago
INSERT INTO note SELECT i, CASE WHEN i > 20 THEN now() - i * interval '1 day' END FROM generate_series(1, 100) AS i;
INSERT INTO note_plain SELECT i, CASE WHEN i > 20 THEN now()::timestamp - i * interval '1 day' END FROM generate_series(1, 100) AS i;
INSERT INTO note_micros SELECT i, CASE WHEN i > 20 THEN (extract(epoch FROM now() - i * interval '1 day') * 1000000)::bigint ELSE 0 END FROM generate_series(1, 100) AS i;
DELETE FROM note WHERE id <= 10;
DELETE FROM note_plain WHERE id <= 10;
DELETE FROM note_micros WHERE id <= 10;
SET client_min_messages = notice;
CALL orm_ext.purge('note', '50 days', dry_run => true);
SELECT rows_of('note');
CALL orm_ext.purge('note', '50 days');
SELECT rows_of('note'), (SELECT max(id) FROM note WHERE deleted_at IS NOT NULL);
CALL orm_ext.purge('note_plain', '50 days', batch_size => 7);
SELECT rows_of('note_plain');
CALL orm_ext.purge('note_micros', '50 days', batch_size => 1);
SELECT rows_of('note_micros', 'deleted_at = 0');
-- nothing is old enough; everything is
CALL orm_ext.purge('note', '100 years');
CALL orm_ext.purge('note', '0');
SELECT rows_of('note');
CALL orm_ext.purge('note', '0');
-- where the policy is off, the marker still tells
ALTER TABLE note_plain DISABLE TRIGGER USER;
CALL orm_ext.purge('note_plain', '30 days');
ALTER TABLE note_plain ENABLE TRIGGER USER;
SELECT rows_of('note_plain');
-- an index on the marker does not make it read other rows
CREATE INDEX ON note_micros (deleted_at);
CALL orm_ext.purge('note_micros', '30 days', batch_size => 3);
SELECT rows_of('note_micros', 'deleted_at = 0');
SELECT job, kind, target, by, state, rows_done, batches > 0 AS batches, percent, report FROM orm_ext.batch_jobs ORDER BY job;

--
-- What is refused
--
BEGIN;
CALL orm_ext.purge('note', '1 day');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
CALL orm_ext.purge('note', '1 day', dry_run => true);
COMMIT;
SET default_transaction_read_only = on;
CALL orm_ext.purge('note', '1 day');
RESET default_transaction_read_only;
CALL orm_ext.purge(NULL, '1 day');
CALL orm_ext.purge('note', NULL);
CALL orm_ext.purge('note', '-1 day');
CALL orm_ext.purge('note', '1 day', batch_size => 0);
CALL orm_ext.purge('note', '1 day', max_wal_rate => 0);
CALL orm_ext.purge('note_flag', '1 day');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE plain (id int PRIMARY KEY, note_id int REFERENCES note ON DELETE CASCADE);
CALL orm_ext.purge('plain', '1 day');
\echo :LAST_ERROR_SQLSTATE
CALL orm_ext.purge('note_pkey', '1 day');
CALL orm_ext.purge(0, '1 day');
-- rights: DELETE and SELECT on the tables whose rows may go, SELECT on those that may keep them
SET ROLE regress_orm_purger;
CALL orm_ext.purge('note', '1 day');
RESET ROLE;
GRANT SELECT, DELETE ON note TO regress_orm_purger;
SET ROLE regress_orm_purger;
CALL orm_ext.purge('note', '1 day');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON plain TO regress_orm_purger;
SET ROLE regress_orm_purger;
CALL orm_ext.purge('note', '1 day', cascade => true);
CALL orm_ext.purge('note', '1 day');
RESET ROLE;
-- rows that a policy hides may refer to those that are to go
ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
SET ROLE regress_orm_purger;
CALL orm_ext.purge('note', '1 day');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
DROP TABLE plain;
-- without references, only the rows that the policies let the role delete go
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON note USING (id < 15);
INSERT INTO note SELECT i, '2001-01-01' FROM generate_series(101, 105) AS i;
UPDATE note SET deleted_at = '2001-01-01' WHERE id IN (11, 12);
SET ROLE regress_orm_purger;
CALL orm_ext.purge('note', '1 day');
RESET ROLE;
SELECT rows_of('note');

--
-- References: what goes along, and what keeps a row
--
SET client_min_messages = warning;
CREATE TABLE author (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE CASCADE, editor_id int REFERENCES author ON DELETE SET NULL, deleted_at timestamp);
CREATE TABLE page (id int PRIMARY KEY, book_id int REFERENCES book, deleted_at bigint NOT NULL DEFAULT 0);
CREATE TABLE mark (id int PRIMARY KEY, page_id int REFERENCES page ON DELETE RESTRICT, deleted_at boolean NOT NULL DEFAULT false);
CREATE TABLE log (id int PRIMARY KEY, book_id int REFERENCES book ON DELETE CASCADE);
SELECT count(*) FROM unnest('{author,book,page,mark}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
-- as they are without anything that looks after them
SET session_replication_role = replica;
INSERT INTO author SELECT i, '2001-01-01' FROM generate_series(1, 9) AS i;
INSERT INTO book SELECT i, i, 10 - i, '2001-01-01' FROM generate_series(1, 9) AS i;
INSERT INTO page SELECT i, i, 1 FROM generate_series(1, 9) AS i;
INSERT INTO mark SELECT i, i, true FROM generate_series(1, 9) AS i;
UPDATE mark SET deleted_at = false WHERE id = 2;			-- live, at the third remove
UPDATE page SET deleted_at = 0 WHERE id = 3;				-- live
UPDATE page SET deleted_at = (extract(epoch FROM now()) * 1000000)::bigint WHERE id = 4;	-- deleted later
UPDATE book SET deleted_at = NULL WHERE id = 5;				-- live
INSERT INTO log VALUES (6, 6);
UPDATE book SET deleted_at = NULL, author_id = 9 WHERE id = 7;	-- live, and its editor is author 3
UPDATE author SET deleted_at = NULL WHERE id = 9;
RESET session_replication_role;
SET client_min_messages = notice;
CREATE TABLE before AS SELECT * FROM book WHERE deleted_at IS NULL;
CALL orm_ext.purge('author', '1 day', dry_run => true);
CALL orm_ext.purge('author', '1 day', batch_size => 3);
SELECT array(SELECT id FROM author WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS authors,
	array(SELECT id FROM book WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS books,
	array(SELECT id FROM page WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS pages,
	array(SELECT id FROM mark WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS marks,
	array(SELECT id FROM log ORDER BY id) AS logs;
-- SET NULL acts on rows that stay, as a real DELETE has it
SELECT id, author_id, editor_id, deleted_at IS NULL AS is_live FROM book WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
-- rows of a table that is not under soft delete go where that is asked for, and only by CASCADE
CALL orm_ext.purge('author', '1 day', cascade => true);
SELECT array(SELECT id FROM author WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS authors, array(SELECT id FROM log ORDER BY id) AS logs;
-- ... and not if live rows hang on them
CREATE TABLE log_line (id int PRIMARY KEY, log_id int REFERENCES log ON DELETE CASCADE, deleted_at timestamptz);
SELECT count(*) FROM orm_ext.enable_soft_delete('log_line');
SET session_replication_role = replica;
INSERT INTO log VALUES (2, 2);
INSERT INTO log_line VALUES (1, 2);
UPDATE mark SET deleted_at = true;
RESET session_replication_role;
CALL orm_ext.purge('author', '1 day', cascade => true);
SELECT rows_of('log_line'), rows_of('log', 'true'), array(SELECT id FROM author WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS authors;
DROP TABLE log_line, log, mark, page, book, author, before;

--
-- Constraints that would not hold: the row is kept
--
SET client_min_messages = warning;
CREATE TABLE team (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE member (id int PRIMARY KEY, team_id int NOT NULL REFERENCES team ON DELETE SET NULL, home_id int DEFAULT 99 REFERENCES team ON DELETE SET DEFAULT);
SELECT count(*) FROM orm_ext.enable_soft_delete('team');
SET session_replication_role = replica;
INSERT INTO team SELECT i, '2001-01-01' FROM generate_series(1, 40) AS i;
INSERT INTO team VALUES (50);
INSERT INTO member VALUES (1, 50, 20), (2, 30, NULL);
RESET session_replication_role;
SET client_min_messages = notice;
CALL orm_ext.purge('team', '1 day', batch_size => 16);
SELECT array(SELECT id FROM team WHERE orm_ext.with_deleted(deleted_at) ORDER BY id) AS teams, array(SELECT m::text FROM member AS m ORDER BY id) AS members;
-- the same for a foreign key that is checked when the transaction ends
ALTER TABLE member DROP COLUMN home_id, DROP CONSTRAINT member_team_id_fkey, ADD FOREIGN KEY (team_id) REFERENCES team DEFERRABLE INITIALLY DEFERRED;
CALL orm_ext.purge('team', '1 day');
-- a trigger that keeps a row is told
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
DELETE FROM member WHERE id = 2;
INSERT INTO team SELECT i, '2001-01-01' FROM generate_series(51, 60) AS i;
CREATE TRIGGER keep BEFORE DELETE ON team FOR EACH ROW WHEN (OLD.id = 55) EXECUTE FUNCTION keep();
CALL orm_ext.purge('team', '1 day', max_retries => 0);
\echo :LAST_ERROR_SQLSTATE
SELECT max(job) AS job FROM orm_ext.batch_jobs \gset
SELECT state, last_error, report FROM orm_ext.batch_jobs WHERE job = :job;
DROP TRIGGER keep ON team;
CALL orm_ext.batch_resume(:job);
-- what has changed meanwhile holds for a job that goes on
INSERT INTO team VALUES (70, '2001-01-01');
GRANT SELECT, DELETE ON team, member TO regress_orm_purger;
CREATE TRIGGER keep BEFORE DELETE ON team FOR EACH ROW EXECUTE FUNCTION keep();
INSERT INTO team VALUES (71, '2001-01-01');
SET ROLE regress_orm_purger;
CALL orm_ext.purge('team', '1 day', max_retries => 0);
RESET ROLE;
DROP TRIGGER keep ON team;
ALTER TABLE member ENABLE ROW LEVEL SECURITY, DROP CONSTRAINT member_team_id_fkey, ADD FOREIGN KEY (team_id) REFERENCES team ON DELETE CASCADE;
SET ROLE regress_orm_purger;
SELECT max(job) AS last FROM orm_ext.batch_jobs \gset
CALL orm_ext.batch_resume(:last);
RESET ROLE;
SELECT id FROM team WHERE deleted_at IS NOT NULL ORDER BY id;
ALTER TABLE member DISABLE ROW LEVEL SECURITY;
SET ROLE regress_orm_purger;
CALL orm_ext.batch_resume(:last);
RESET ROLE;
SELECT id FROM team WHERE deleted_at IS NOT NULL ORDER BY id;
SELECT state, rows_done, report FROM orm_ext.batch_jobs WHERE job = :job;
DROP TABLE member, team;

--
-- Partitions, columns in another order, keys of several columns and types
--
SET client_min_messages = warning;
CREATE TABLE region (land text COLLATE "C", id int, name text, deleted_at timestamptz, PRIMARY KEY (land, id)) PARTITION BY LIST (land);
CREATE TABLE region_a PARTITION OF region FOR VALUES IN ('a');
CREATE TABLE region_b (deleted_at timestamptz, "the name" int, land text COLLATE "C" NOT NULL, name text, id int NOT NULL);
ALTER TABLE region_b DROP COLUMN "the name";
ALTER TABLE region ATTACH PARTITION region_b FOR VALUES IN ('b');
CREATE TABLE city (id bigint, land text, region_id bigint, deleted_at timestamptz, PRIMARY KEY (id),
	FOREIGN KEY (land, region_id) REFERENCES region (land, id) ON DELETE CASCADE) PARTITION BY HASH (id);
CREATE TABLE city_0 PARTITION OF city FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE city_1 (note text, region_id bigint, deleted_at timestamptz, land text, id bigint NOT NULL);
ALTER TABLE city_1 DROP COLUMN note;
ALTER TABLE city ATTACH PARTITION city_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT count(*) FROM unnest('{region,city}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
INSERT INTO region SELECT substr('ab', i % 2 + 1, 1), i FROM generate_series(1, 40) AS i;
INSERT INTO city SELECT i, substr('ab', i % 2 + 1, 1), i FROM generate_series(1, 40) AS i;
INSERT INTO city SELECT i + 100, substr('ab', i % 2 + 1, 1), i FROM generate_series(1, 40) AS i;
DELETE FROM region WHERE id > 10;
SET client_min_messages = notice;
CALL orm_ext.purge('region', '0', dry_run => true);
CALL orm_ext.purge('region', '0', batch_size => 4);
SELECT rows_of('region'), rows_of('city');
-- one partition of it
DELETE FROM region;
CALL orm_ext.purge('region_b', '0');
SELECT rows_of('region_a'), rows_of('region_b'), rows_of('city');
-- by a role without rights on the partitions
GRANT SELECT, DELETE ON region, city TO regress_orm_purger;
SET ROLE regress_orm_purger;
CALL orm_ext.purge('region', '0');
RESET ROLE;
SELECT rows_of('region'), rows_of('city');
-- a foreign key of one partition alone, and one to it
CREATE TABLE town (id int PRIMARY KEY, land text COLLATE "C", region_id int, FOREIGN KEY (land, region_id) REFERENCES region_a (land, id));
INSERT INTO region VALUES ('a', 1), ('b', 1);
INSERT INTO town VALUES (1, 'a', 1);
SET session_replication_role = replica;
UPDATE region SET deleted_at = '2001-01-01';
RESET session_replication_role;
CALL orm_ext.purge('region', '1 day');
DROP TABLE town, city, region;

--
-- Any schema, rows and references: against a definition in plain SQL
--
SET client_min_messages = warning;
-- a refers to itself, a, b and c to each other in a circle, and to rows that were deleted before or after them
CREATE TABLE a (id int PRIMARY KEY, boss int REFERENCES a ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, b int REFERENCES b, deleted_at timestamptz);
CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b ON DELETE RESTRICT, a int REFERENCES a ON DELETE SET NULL, deleted_at timestamptz);
ALTER TABLE a ADD c int REFERENCES c;
CREATE TABLE u (id int PRIMARY KEY, c int REFERENCES c ON DELETE CASCADE);
SELECT count(*) FROM unnest('{a,b,c}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
-- every row, and whether it may go; every reference that keeps a row
CREATE VIEW row_state AS
	SELECT 'a' AS t, id, deleted_at < '2010-01-01' IS TRUE AS is_due FROM a WHERE orm_ext.with_deleted(deleted_at)
	UNION ALL SELECT 'b', id, deleted_at < '2010-01-01' IS TRUE FROM b WHERE orm_ext.with_deleted(deleted_at)
	UNION ALL SELECT 'c', id, deleted_at < '2010-01-01' IS TRUE FROM c WHERE orm_ext.with_deleted(deleted_at)
	UNION ALL SELECT 'u', id, current_setting('test.cascade')::bool FROM u;
CREATE VIEW reference AS
	SELECT 'a' AS t, boss AS id, 'a' AS by_t, id AS by_id FROM a WHERE orm_ext.with_deleted(deleted_at) AND boss IS NOT NULL
	UNION ALL SELECT 'c', c, 'a', id FROM a WHERE orm_ext.with_deleted(deleted_at) AND c IS NOT NULL
	UNION ALL SELECT 'a', a, 'b', id FROM b WHERE orm_ext.with_deleted(deleted_at) AND a IS NOT NULL
	UNION ALL SELECT 'b', b, 'b', id FROM b WHERE orm_ext.with_deleted(deleted_at) AND b IS NOT NULL
	UNION ALL SELECT 'b', b, 'c', id FROM c WHERE orm_ext.with_deleted(deleted_at) AND b IS NOT NULL
	UNION ALL SELECT 'c', c, 'u', id FROM u WHERE c IS NOT NULL;
-- each row with all that refers to it, to any depth
CREATE VIEW closure AS
	WITH RECURSIVE w (t, id, by_t, by_id) AS (
		SELECT t, id, t, id FROM row_state
		UNION SELECT w.t, w.id, r.by_t, r.by_id FROM w JOIN reference AS r ON (r.t, r.id) = (w.by_t, w.by_id))
	SELECT * FROM w;
CREATE PROCEDURE check_purge(seed int, cascade bool)
LANGUAGE plpgsql AS $$
DECLARE
	job bigint;
	n bigint;
	purged bigint;
	kept bigint;
	told bigint;
	expected text;
	expected_kept bigint;
	rest text;
	report jsonb;
	report_before jsonb;
BEGIN
	PERFORM set_config('session_replication_role', 'replica', false), set_config('orm_ext.delete_mode', 'hard', false), setseed(seed / 1000.0), set_config('test.cascade', cascade::text, false);
	TRUNCATE a, b, c, u;
	-- from hardly any to many references, and to rows that stay
	INSERT INTO a SELECT i, CASE WHEN random() < 0.5 THEN ceil(random() * 40) END, CASE WHEN random() < 0.9 THEN timestamptz '2001-01-01' WHEN random() < 0.5 THEN '2020-01-01' END,
		CASE WHEN random() < (seed % 5) * 0.1 THEN ceil(random() * 40) END FROM generate_series(1, 40) AS i;
	INSERT INTO b SELECT i, CASE WHEN random() < 0.8 THEN ceil(random() * 40) END, CASE WHEN random() < 0.3 THEN ceil(random() * 40) END,
		CASE WHEN random() < 0.92 THEN timestamptz '2001-01-01' WHEN random() < 0.5 THEN '2020-01-01' END FROM generate_series(1, 40) AS i;
	INSERT INTO c SELECT i, CASE WHEN random() < 0.6 THEN ceil(random() * 40) END, CASE WHEN random() < 0.5 THEN ceil(random() * 40) END,
		CASE WHEN random() < 0.92 THEN timestamptz '2001-01-01' WHEN random() < 0.5 THEN '2020-01-01' END FROM generate_series(1, 40) AS i;
	INSERT INTO u SELECT i, ceil(random() * 40) FROM generate_series(1, seed % 4) AS i;
	PERFORM set_config('session_replication_role', 'origin', false), set_config('orm_ext.delete_mode', 'soft', false);

	-- rows of a that are due and to which nothing refers, at any remove, that is not; and all that refers to them
	WITH stays AS (SELECT DISTINCT w.t, w.id FROM closure AS w JOIN row_state AS s ON (s.t, s.id) = (w.by_t, w.by_id) WHERE NOT s.is_due),
		goes AS (SELECT DISTINCT w.by_t, w.by_id FROM closure AS w WHERE w.t = 'a' AND (w.t, w.id) NOT IN (SELECT t, id FROM stays))
	SELECT (SELECT string_agg(s.t || s.id, ' ' ORDER BY s.t, s.id) FROM row_state AS s WHERE (s.t, s.id) NOT IN (SELECT by_t, by_id FROM goes)),
		(SELECT count(*) FROM goes), (SELECT count(*) FROM stays AS s JOIN row_state AS r ON (r.t, r.id) = (s.t, s.id) WHERE s.t = 'a' AND r.is_due)
	INTO expected, n, expected_kept;

	CALL orm_ext.purge('a', '10 years', cascade => check_purge.cascade, dry_run => true, job => job, purged => purged, kept => told, report => report_before);
	IF (purged, told) IS DISTINCT FROM (n, expected_kept) THEN
		RAISE WARNING '%: a dry run says % and %, not % and %', seed, purged, told, n, expected_kept;
	END IF;
	CALL orm_ext.purge('a', '10 years', batch_size => seed % 17 + 1, cascade => check_purge.cascade, job => job, purged => purged, kept => kept, report => report);
	SELECT string_agg(s.t || s.id, ' ' ORDER BY s.t, s.id) FROM row_state AS s INTO rest;
	IF rest IS DISTINCT FROM expected OR (purged, kept) IS DISTINCT FROM (n, expected_kept) THEN
		RAISE WARNING '%: % purged and % kept, not % and %: %, not %', seed, purged, kept, n, expected_kept, rest, expected;
	END IF;
	IF EXISTS (SELECT FROM reference AS r WHERE (r.t, r.id) NOT IN (SELECT t, id FROM row_state)) OR EXISTS (SELECT FROM c WHERE orm_ext.with_deleted(deleted_at) AND a NOT IN (SELECT id FROM a WHERE orm_ext.with_deleted(deleted_at))) THEN
		RAISE WARNING '%: something refers to nothing', seed;
	END IF;
	IF report -> 'purged' <> report_before -> 'purged' THEN
		RAISE WARNING '%: % is not %', seed, report, report_before;
	END IF;
	INSERT INTO seen VALUES (purged, kept);
	COMMIT;
END
$$;
CREATE TABLE seen (purged int, kept int);
SET client_min_messages = warning;
DO $$ BEGIN FOR i IN 1 .. 60 LOOP CALL check_purge(i, i % 3 = 0); END LOOP; END $$;
-- and they were not all the same
SELECT count(*), count(*) FILTER (WHERE purged > 0 AND kept > 0) > 30 AS mixed, max(purged) > 60 AS much FROM seen;

DROP SCHEMA purge CASCADE;
DROP ROLE regress_orm_purger;
