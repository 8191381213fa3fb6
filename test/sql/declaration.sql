--
-- The declaration of soft delete is a trigger.  A wrong one is refused when it
-- is created, and at the latest when its table is used.
--
CREATE SCHEMA soft;
SET search_path = soft;

CREATE TABLE item (
	id int PRIMARY KEY,
	deleted_at timestamptz,
	deleted_on timestamp,
	removed boolean NOT NULL DEFAULT false,
	removed_us bigint NOT NULL DEFAULT 0,
	null_boolean boolean,
	null_bigint bigint,
	full_timestamptz timestamptz NOT NULL DEFAULT now(),
	full_timestamp timestamp NOT NULL DEFAULT now(),
	a_text text,
	a_date date,
	an_int int NOT NULL DEFAULT 0,
	an_array timestamptz[],
	computed bigint NOT NULL GENERATED ALWAYS AS (id * 2) STORED
);

-- argument missing, or one too many
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete();
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'deleted_on');
\echo SQLSTATE :SQLSTATE

-- no such column; names are taken literally, and system columns are none
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('removed_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('Deleted_At');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('xmax');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('');
\echo SQLSTATE :SQLSTATE

-- wrong type
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('a_text');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('a_date');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('an_int');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('an_array');
\echo SQLSTATE :SQLSTATE

-- NOT NULL missing, or superfluous
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('null_boolean');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('null_bigint');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('full_timestamptz');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('full_timestamp');
\echo SQLSTATE :SQLSTATE

-- generated
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('computed');
\echo SQLSTATE :SQLSTATE

-- another event, time or level, or a condition
CREATE TRIGGER gone BEFORE DELETE ON item EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone AFTER DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE OR INSERT ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE TRUNCATE ON item EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW WHEN (old.id > 0) EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE CONSTRAINT TRIGGER gone AFTER DELETE ON item DEFERRABLE FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE

-- not a table
CREATE VIEW item_view AS SELECT * FROM item;
CREATE TRIGGER gone INSTEAD OF DELETE ON item_view FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone BEFORE DELETE ON item_view EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE SERVER regress_orm_server FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE FOREIGN TABLE item_far (id int, deleted_at timestamptz) SERVER regress_orm_server;
CREATE TRIGGER gone BEFORE DELETE ON item_far FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
-- no relation at all
SELECT orm_ext.enable_soft_delete(0);
SELECT orm_ext.disable_soft_delete(0);

-- called otherwise
SELECT orm_ext.soft_delete();
\echo SQLSTATE :SQLSTATE

-- none of these left a trigger behind
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'item'::regclass AND NOT tgisinternal;

-- attached twice
CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER gone_too BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
CREATE TRIGGER gone_too BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('removed');
\echo SQLSTATE :SQLSTATE
-- but it can be replaced
CREATE OR REPLACE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('removed');
CREATE OR REPLACE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('a_text');
\echo SQLSTATE :SQLSTATE
SELECT "table", policy, "column", trigger, enabled FROM orm_ext.managed;

-- the error's fields name table and column
DO $$
DECLARE s text; t text; c text;
BEGIN
	DROP TRIGGER gone ON item;
	CREATE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('a_text');
EXCEPTION WHEN datatype_mismatch THEN
	GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME;
	RAISE NOTICE '% % %', s, t, c;
END
$$;

-- hints can be run as they stand
ALTER TABLE soft.item ALTER COLUMN null_boolean SET DEFAULT false, ALTER COLUMN null_boolean SET NOT NULL;
DROP TRIGGER IF EXISTS gone ON soft.item; CREATE TRIGGER gone BEFORE DELETE ON soft.item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('null_boolean');
ALTER TABLE soft.item ALTER COLUMN full_timestamptz DROP NOT NULL;
CREATE OR REPLACE TRIGGER gone BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('full_timestamptz');

-- and name things as they must be written
CREATE TABLE "My Items" ("Id" int, "Deleted At" timestamptz, a_text text);
CREATE TRIGGER "Gone" AFTER DELETE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('Deleted At');
CREATE TRIGGER "Gone" BEFORE DELETE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER "Gone" BEFORE DELETE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('Deleted At');
CREATE TRIGGER "Gone again" BEFORE DELETE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('Deleted At');
INSERT INTO "My Items" VALUES (1), (2);
DELETE FROM "My Items" WHERE "Id" = 1 RETURNING *;
SELECT * FROM "My Items";
SELECT "Id" FROM "My Items" WHERE "Deleted At" IS NOT NULL;

-- temporary and unlogged tables are tables
CREATE TEMP TABLE passing (id int, deleted_at timestamptz);
CREATE UNLOGGED TABLE unlogged (id int, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON passing FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER gone BEFORE DELETE ON unlogged FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO passing VALUES (1), (2);
INSERT INTO unlogged VALUES (1), (2);
DELETE FROM passing WHERE id = 1;
DELETE FROM unlogged WHERE id = 1;
SELECT id, 'passing' AS from FROM passing UNION ALL SELECT id, 'unlogged' FROM unlogged;
DROP TABLE passing;

-- names of functions do not matter, nor does the schema of ours on the path
CREATE FUNCTION soft_delete() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE homonym (id int, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON homonym FOR EACH ROW EXECUTE FUNCTION soft_delete('no_such_column');
INSERT INTO homonym VALUES (1, NULL), (2, now());
SELECT id FROM homonym;
DROP TABLE homonym;
DROP FUNCTION soft_delete();

-- Where nobody looked when the trigger was created, the first use complains.
BEGIN;
ALTER EVENT TRIGGER orm_ext_ddl_command_end DISABLE;
CREATE TABLE wrong (id int, deleted_at text);
CREATE TRIGGER gone BEFORE DELETE ON wrong FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO wrong VALUES (1);
SAVEPOINT use;
SELECT * FROM wrong;
\echo SQLSTATE :SQLSTATE
ROLLBACK TO use;
SELECT count(*) FROM item LEFT JOIN wrong USING (id);
ROLLBACK TO use;
UPDATE wrong SET id = 2;
ROLLBACK TO use;
DELETE FROM wrong;
ROLLBACK TO use;
-- not so where the trigger is off
ALTER TABLE wrong DISABLE TRIGGER gone;
SELECT * FROM wrong;
ROLLBACK;

SET client_min_messages = warning;
DROP SERVER regress_orm_server CASCADE;
DROP FOREIGN DATA WRAPPER regress_orm_wrapper;
DROP SCHEMA soft CASCADE;
