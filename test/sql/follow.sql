--
-- The declaration follows its table: ALTER TABLE, ALTER TRIGGER, the session's
-- replication role, and the extension coming and going.
--
CREATE SCHEMA soft;
SET search_path = soft;

CREATE TABLE post (id int PRIMARY KEY, title text, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 6) AS i;
DELETE FROM post WHERE id = 1;
PREPARE live AS SELECT string_agg(id::text, ' ' ORDER BY id) AS live FROM post;
EXECUTE live;

--
-- Columns are renamed: the argument follows
--
ALTER TABLE post RENAME COLUMN deleted_at TO removed_at;
SELECT "table", "column" FROM orm_ext.managed;
EXECUTE live;
DELETE FROM post WHERE id = 2;
EXECUTE live;
ALTER TABLE post RENAME removed_at TO "Removed, at";
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'post'::regclass;
EXECUTE live;
BEGIN;
ALTER TABLE post RENAME COLUMN "Removed, at" TO bin;
EXECUTE live;
ROLLBACK;
EXECUTE live;
ALTER TABLE post RENAME COLUMN title TO heading;
ALTER TABLE post RENAME COLUMN "Removed, at" TO deleted_at;
ALTER TABLE post RENAME COLUMN heading TO title;
-- by way of another command, as the server allows
ALTER VIEW post RENAME COLUMN deleted_at TO gone;
EXECUTE live;
ALTER FOREIGN TABLE post RENAME COLUMN gone TO deleted_at;
EXECUTE live;
SELECT "table", "column" FROM orm_ext.managed;
-- what is done to a type that a table is made of is told at the next use
CREATE TYPE note_type AS (id int, deleted_at timestamptz);
CREATE TABLE note OF note_type;
CREATE TRIGGER gone BEFORE DELETE ON note
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO note VALUES (1), (2);
DELETE FROM note WHERE id = 1;
ALTER TYPE note_type RENAME ATTRIBUTE deleted_at TO gone CASCADE;
SELECT * FROM note;
\echo SQLSTATE :SQLSTATE
CREATE OR REPLACE TRIGGER gone BEFORE DELETE ON note
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
SELECT * FROM note;
DROP TABLE note;
-- names change places
BEGIN;
ALTER TABLE post RENAME COLUMN title TO spare;
ALTER TABLE post RENAME COLUMN deleted_at TO title;
ALTER TABLE post RENAME COLUMN spare TO deleted_at;
SELECT "table", "column" FROM orm_ext.managed;
EXECUTE live;
ROLLBACK;
-- table, schema and trigger may be called anything
ALTER TABLE post RENAME TO article;
ALTER TABLE article SET SCHEMA public;
ALTER TRIGGER gone ON public.article RENAME TO "to the bin";
DELETE FROM public.article WHERE id = 3;
SELECT string_agg(id::text, ' ' ORDER BY id) AS live FROM public.article;
SELECT "table", "column", trigger FROM orm_ext.managed;
ALTER TABLE public.article SET SCHEMA soft;
ALTER TABLE article RENAME TO post;
ALTER TRIGGER "to the bin" ON post RENAME TO gone;
EXECUTE live;

--
-- Columns come and go in front of the marker
--
ALTER TABLE post DROP COLUMN title;
EXECUTE live;
ALTER TABLE post ADD COLUMN title text DEFAULT 'new';
EXECUTE live;
DELETE FROM post WHERE id = 4 RETURNING *;
SELECT * FROM post ORDER BY id;

--
-- The marker is dropped
--
ALTER TABLE post DROP COLUMN deleted_at;
\echo SQLSTATE :SQLSTATE
EXECUTE live;
BEGIN;
ALTER TABLE post DROP COLUMN deleted_at CASCADE;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'post'::regclass;
EXECUTE live;
DELETE FROM post WHERE id = 5;
EXECUTE live;
ROLLBACK;
EXECUTE live;
-- and replaced in one statement
ALTER TABLE post DROP COLUMN deleted_at, ADD COLUMN deleted_at timestamptz;
EXECUTE live;
BEGIN;
ALTER TABLE post DROP COLUMN deleted_at CASCADE, ADD COLUMN deleted_at timestamptz;
SELECT count(*) AS managed FROM orm_ext.managed;
ROLLBACK;
INSERT INTO post VALUES (7), (8);
EXECUTE live;

--
-- The marker changes
--
ALTER TABLE post ALTER COLUMN deleted_at TYPE text;
\echo SQLSTATE :SQLSTATE
ALTER TABLE post ALTER COLUMN deleted_at SET NOT NULL;
\echo SQLSTATE :SQLSTATE
UPDATE post SET deleted_at = '-infinity' WHERE deleted_at IS NULL;
ALTER TABLE post ALTER COLUMN deleted_at SET NOT NULL;
\echo SQLSTATE :SQLSTATE
UPDATE post SET deleted_at = NULL WHERE deleted_at = '-infinity';
ALTER TABLE post ALTER COLUMN deleted_at TYPE timestamp(0);
EXECUTE live;
DELETE FROM post WHERE id = 7;
EXECUTE live;
ALTER TABLE post ALTER COLUMN deleted_at TYPE boolean USING deleted_at IS NOT NULL, ALTER COLUMN deleted_at SET NOT NULL;
EXECUTE live;
ALTER TABLE post ALTER COLUMN deleted_at DROP NOT NULL;
\echo SQLSTATE :SQLSTATE
ALTER TABLE post ALTER COLUMN deleted_at TYPE bigint USING CASE WHEN deleted_at THEN 1 ELSE 0 END;
EXECUTE live;
DELETE FROM post WHERE id IN (5, 8);
EXECUTE live;
ALTER TABLE post ALTER COLUMN deleted_at DROP NOT NULL,
	ALTER COLUMN deleted_at TYPE timestamptz USING to_timestamp(nullif(deleted_at, 0) / 1000000);
EXECUTE live;
SELECT count(*) AS deleted FROM post WHERE deleted_at IS NOT NULL;

--
-- The trigger is switched off: so is soft delete
--
ALTER TABLE post DISABLE TRIGGER gone;
EXECUTE live;
SELECT "table", enabled FROM orm_ext.managed;
BEGIN;
DELETE FROM post WHERE id = 6;
SELECT count(*) AS there FROM post WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
ALTER TABLE post ENABLE TRIGGER USER;
EXECUTE live;
ALTER TABLE post DISABLE TRIGGER ALL;
EXECUTE live;
ALTER TABLE post ENABLE REPLICA TRIGGER gone;
EXECUTE live;
SET session_replication_role = replica;
EXECUTE live;
ALTER TABLE post ENABLE TRIGGER gone;
EXECUTE live;
ALTER TABLE post ENABLE ALWAYS TRIGGER gone;
EXECUTE live;
SET session_replication_role = local;
EXECUTE live;
ALTER TABLE post ENABLE TRIGGER gone;
EXECUTE live;
SET session_replication_role = replica;
EXECUTE live;
BEGIN;
DELETE FROM post WHERE id = 6;
SELECT count(*) AS there FROM post WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = origin;
EXECUTE live;
DELETE FROM post WHERE id = 6;
SELECT count(*) AS there FROM post WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
EXECUTE live;
RESET session_replication_role;
EXECUTE live;

--
-- The trigger goes, and comes back
--
DROP TRIGGER gone ON post;
EXECUTE live;
CREATE TRIGGER gone BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
EXECUTE live;
BEGIN;
DROP TRIGGER gone ON post;
EXECUTE live;
ROLLBACK;
EXECUTE live;

--
-- The extension goes, and comes back
--
DROP EXTENSION orm_ext;
\echo SQLSTATE :SQLSTATE
DROP EXTENSION orm_ext CASCADE;
EXECUTE live;
BEGIN;
DELETE FROM post WHERE id = 6;
SELECT count(*) AS there FROM post WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;
ROLLBACK;
-- the library is still there, and says what is missing
CREATE TRIGGER gone BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\echo SQLSTATE :SQLSTATE
SET orm_ext.deleted_rows = 'show';
RESET orm_ext.deleted_rows;
CREATE EXTENSION orm_ext;
CREATE TRIGGER gone BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
EXECUTE live;
DELETE FROM post WHERE id = 6;
EXECUTE live;
SELECT string_agg(id::text, ' ' ORDER BY id) AS deleted FROM post WHERE deleted_at IS NOT NULL;

-- with the schema
BEGIN;
DROP TABLE post;
SELECT count(*) AS managed FROM orm_ext.managed;
ROLLBACK;
EXECUTE live;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
