--
-- deleted_by: who has deleted a row.
--
CREATE ROLE regress_orm_client;
CREATE SCHEMA soft;
GRANT USAGE ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SELECT session_user AS me \gset

--
-- orm_ext.actor, or the session's user, in a column of any type that created_by may have
--
CREATE DOMAIN actor AS varchar(20) CHECK (value <> 'nobody');
CREATE FUNCTION deleted_as(type text, actor text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TABLE t (id int PRIMARY KEY, created_by %s, deleted_by %1$s, deleted_at timestamptz)', type);
	CREATE TRIGGER soft_delete BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('created_by=created_by');
	PERFORM set_config('orm_ext.actor', actor, true);
	INSERT INTO t VALUES (1), (2);
	DELETE FROM t WHERE id = 1;
	SELECT concat_ws(' ', replace(coalesce(deleted_by::text, 'null'), session_user, 'me'),
		CASE WHEN deleted_by::text IS DISTINCT FROM created_by::text THEN 'BUT CREATED BY ' || created_by::text END) INTO result FROM t WHERE deleted_at IS NOT NULL;
	DROP TABLE t;
	RETURN result;
EXCEPTION WHEN data_exception OR check_violation OR undefined_object THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT t, deleted_as(t) FROM unnest('{text,varchar,varchar(40),char(30),name,actor,regrole,uuid,int,bigint}'::text[]) AS t;
SELECT t, deleted_as(t, '42') FROM unnest('{text,varchar(3),actor,uuid,int,bigint}'::text[]) AS t;
SELECT deleted_as('uuid', '00000000-0000-0000-0000-000000000042'), deleted_as('regrole', 'regress_orm_client');
SELECT deleted_as('varchar(3)', 'alice');
SELECT deleted_as('actor', 'nobody');
SELECT deleted_as('regrole', 'nobody');
-- a value that does not fit is told where it comes from
CREATE TABLE doc (id int PRIMARY KEY, body text, deleted_at timestamptz, deleted_by int);
CREATE TRIGGER soft_delete BEFORE DELETE ON doc FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO doc VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four');
SET orm_ext.actor = 'alice';
SELECT * FROM compare.refusal('DELETE FROM doc');
RESET orm_ext.actor;
-- columns that name nobody are left alone
CREATE TABLE other (id int PRIMARY KEY, deleted_at timestamptz, deleted_by jsonb);
CREATE TABLE generated (id int PRIMARY KEY, deleted_at timestamptz, deleted_by text GENERATED ALWAYS AS ('g') STORED);
CREATE TABLE marked (id int PRIMARY KEY, deleted_by bigint NOT NULL DEFAULT 0);
CREATE TRIGGER soft_delete BEFORE DELETE ON other FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON generated FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON marked FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_by');
INSERT INTO other VALUES (1);
INSERT INTO generated VALUES (1);
INSERT INTO marked VALUES (1);
DELETE FROM other;
DELETE FROM generated;
DELETE FROM marked;
SELECT deleted_by FROM other WHERE deleted_at IS NOT NULL;
SELECT deleted_by FROM generated WHERE deleted_at IS NOT NULL;
SELECT deleted_by > 1000000 FROM marked WHERE deleted_by <> 0;
SELECT rel, rows, deleted_by FROM orm_ext.deletions ORDER BY rel::text;
SELECT * FROM orm_ext.restore_where('generated', 'true');
SELECT * FROM orm_ext.restore_where('marked', 'true');
SELECT * FROM orm_ext.restore_where('other', 'true');
DROP TABLE other, generated, marked;

--
-- However rows are deleted
--
ALTER TABLE doc ALTER COLUMN deleted_by TYPE text;
CREATE TABLE page (id int PRIMARY KEY, doc int REFERENCES doc ON DELETE CASCADE, deleted_by text, deleted_at timestamptz,
	who text GENERATED ALWAYS AS (coalesce(deleted_by, 'nobody')) STORED);
CREATE TRIGGER soft_delete BEFORE DELETE ON page FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO page SELECT i, (i + 1) / 2 FROM generate_series(1, 8) AS i;
-- after each statement: who has deleted what
CREATE FUNCTION effect(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE statement;
	SELECT string_agg(line, ', ') INTO result FROM (
		SELECT concat('doc ', id, ' ', coalesce(deleted_by, 'null')) FROM doc WHERE deleted_at IS NOT NULL OR deleted_by IS NOT NULL
		UNION ALL SELECT concat('page ', id, ' ', coalesce(deleted_by, 'null'), CASE WHEN who <> coalesce(deleted_by, 'nobody') THEN ' WHO ' || who END)
		FROM page WHERE deleted_at IS NOT NULL OR deleted_by IS NOT NULL ORDER BY 1) AS l (line);
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	RETURN result;
END
$$;
SET orm_ext.actor = 'alice';
SELECT effect('DELETE FROM page WHERE id = 1');
SELECT effect('DELETE FROM doc WHERE id = 1');
SELECT effect('WITH d AS (DELETE FROM doc WHERE id = 1 RETURNING id) DELETE FROM page USING d WHERE page.id = d.id + 2');
SELECT effect('MERGE INTO page USING doc ON doc.id = page.id WHEN MATCHED AND doc.id = 2 THEN DELETE WHEN MATCHED AND doc.id = 3 THEN UPDATE SET doc = 4 WHEN NOT MATCHED THEN INSERT VALUES (9, 1)');
SELECT effect('PREPARE once AS DELETE FROM page WHERE id = 1; SET LOCAL orm_ext.actor = ''bob''; EXECUTE once; SET LOCAL orm_ext.actor = ''carol'';');
SELECT effect('CREATE VIEW v AS SELECT id FROM page; DELETE FROM v WHERE id = 2');
-- an UPDATE names whom it likes; what follows from it is the actor's doing
SELECT effect('UPDATE doc SET deleted_at = now() WHERE id = 1');
SELECT effect('UPDATE doc SET deleted_at = now(), deleted_by = ''dave'' WHERE id = 1');
-- one plan, several actors
PREPARE d (int) AS DELETE FROM page WHERE id = $1;
SET plan_cache_mode = 'force_generic_plan';
BEGIN;
EXECUTE d (1);
SET LOCAL orm_ext.actor = 'bob';
EXECUTE d (2);
SET LOCAL orm_ext.actor = '';
EXECUTE d (3);
SELECT id, replace(deleted_by, :'me', 'me') FROM page WHERE deleted_at IS NOT NULL ORDER BY id;
ROLLBACK;
RESET plan_cache_mode;
-- it is asked once for all rows
CREATE FUNCTION initplans(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	line text;
	n bigint := 0;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		n := n + (line ~ 'InitPlan \d+')::int;
	END LOOP;
	RETURN n;
END
$$;
SELECT initplans('DELETE FROM page'), initplans('DELETE FROM page WHERE false');
-- whoever owns the function is not the one
CREATE FUNCTION clear() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM soft.page WHERE id = 1';
RESET orm_ext.actor;
GRANT DELETE, SELECT ON doc TO regress_orm_client;
SET SESSION AUTHORIZATION regress_orm_client;
SELECT clear();
DELETE FROM doc WHERE id = 2;
RESET SESSION AUTHORIZATION;
SELECT id, deleted_by FROM page WHERE deleted_at IS NOT NULL ORDER BY id;
SELECT * FROM orm_ext.restore_where('page', 'id = 1');
SELECT * FROM orm_ext.restore('doc', 2);
SELECT count(*), count(deleted_by), min(who) FROM page;
-- a DELETE asks for no right on the column
SELECT has_column_privilege('regress_orm_client', 'doc', 'deleted_by', 'UPDATE');

--
-- RETURNING shows the row as it was
--
SET orm_ext.actor = 'alice';
BEGIN;
DELETE FROM page WHERE id IN (1, 2) RETURNING *;
DELETE FROM page WHERE id = 3 RETURNING page, deleted_by, who, deleted_by IS NULL;
ROLLBACK;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER keep BEFORE UPDATE ON page FOR EACH ROW EXECUTE FUNCTION keep();
BEGIN;
DELETE FROM page WHERE id IN (1, 2) RETURNING *;
ROLLBACK;
-- triggers see it, UPDATE OF deleted_by included
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE WARNING '% -> %', old.deleted_by, new.deleted_by; RETURN NULL; END$$;
CREATE TRIGGER tell AFTER UPDATE OF deleted_by ON page FOR EACH ROW EXECUTE FUNCTION tell();
DELETE FROM page WHERE id = 1;
SELECT * FROM orm_ext.restore('page', 1);
DROP TRIGGER tell ON page;
DROP TRIGGER keep ON page;

--
-- A column that must not be null is left by a restore as it is
--
UPDATE doc SET deleted_by = '';
ALTER TABLE doc ALTER COLUMN deleted_by SET NOT NULL;
DELETE FROM doc WHERE id = 3;
SELECT id, deleted_by FROM doc WHERE deleted_at IS NOT NULL;
SELECT * FROM orm_ext.restore('doc', 3);
SELECT id, deleted_by FROM doc WHERE id = 3;
ALTER TABLE doc ALTER COLUMN deleted_by DROP NOT NULL;
-- the function that a DELETE calls minds what it is called with
SELECT orm_ext.deletion_actor('doc', 4::smallint, NULL::text);
SELECT orm_ext.deletion_actor('doc', 4::smallint, NULL::int);
SELECT orm_ext.deletion_actor('doc', 3::smallint, NULL::timestamptz);
SELECT orm_ext.deletion_actor('doc', 30000::smallint, NULL::text);
SELECT orm_ext.deletion_actor('doc', (-1)::smallint, NULL::text);

--
-- Partitions, and inheritance children, whose columns are in another order
--
CREATE TABLE part (id int PRIMARY KEY, deleted_at timestamptz, deleted_by text) PARTITION BY RANGE (id);
CREATE TABLE part_low (deleted_by text, deleted_at timestamptz, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_low FOR VALUES FROM (1) TO (10);
CREATE TABLE part_high PARTITION OF part DEFAULT;
CREATE TRIGGER soft_delete BEFORE DELETE ON part FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO part VALUES (1), (2), (11), (12);
DELETE FROM part WHERE id IN (1, 11);
DELETE FROM part_low WHERE id = 2;
DELETE FROM part_high WHERE id = 12 RETURNING *;
SELECT tableoid::regclass, id, deleted_by FROM part WHERE deleted_at IS NOT NULL ORDER BY id;
SELECT * FROM orm_ext.restore_where('part', 'deleted_by = ''alice''');
SELECT * FROM part ORDER BY id;

DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_client;
