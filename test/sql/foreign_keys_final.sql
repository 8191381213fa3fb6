--
-- Rows that really leave their table are the server's business, deleted rows
-- included; and ALTER TABLE, which checks what is there.
--
CREATE SCHEMA soft;
SET search_path = soft;
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
CREATE TABLE parent (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE by_cascade (id int PRIMARY KEY, up int REFERENCES parent ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE by_restrict (id int PRIMARY KEY, up int CONSTRAINT restrict_fk REFERENCES parent ON DELETE RESTRICT, deleted_at timestamptz);
CREATE TABLE by_nothing (id int PRIMARY KEY, up int REFERENCES parent, deleted_at timestamptz);
CREATE TABLE by_null (id int PRIMARY KEY, up int REFERENCES parent ON DELETE SET NULL, deleted_at timestamptz);
CREATE TABLE by_default (id int PRIMARY KEY, up int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT, deleted_at timestamptz);
SELECT compare.manage('parent', 'by_cascade', 'by_restrict', 'by_nothing', 'by_null', 'by_default');
INSERT INTO parent SELECT generate_series(1, 8);
INSERT INTO by_cascade VALUES (21, 2), (22, 2);
INSERT INTO by_restrict VALUES (31, 3);
INSERT INTO by_nothing VALUES (41, 4);
INSERT INTO by_null VALUES (51, 5), (52, 5);
INSERT INTO by_default VALUES (61, 6), (62, 6);
DELETE FROM by_cascade WHERE id = 21;
DELETE FROM by_restrict;
DELETE FROM by_nothing;
DELETE FROM by_null WHERE id = 51;
DELETE FROM by_default WHERE id = 61;
-- RESTRICT is said otherwise from PostgreSQL 18 on
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN regexp_replace(compare.changes(statement), '^23001 (.*) violates RESTRICT setting of', '23503 \1 violates');
END
$$;

-- real deletes of live rows
SET orm_ext.delete_mode = 'hard';
SELECT outcome('DELETE FROM parent WHERE id = ' || id) FROM generate_series(2, 6) AS id;
SELECT outcome('DELETE FROM by_restrict WHERE deleted_at IS NOT NULL; DELETE FROM parent WHERE id = 3');
RESET orm_ext.delete_mode;
-- from the bin
DELETE FROM parent WHERE id BETWEEN 2 AND 6;
SELECT outcome(format('DELETE FROM parent WHERE id = %s AND deleted_at IS NOT NULL', id)) FROM generate_series(2, 6) AS id;
SELECT outcome('DELETE FROM parent WHERE deleted_at < now() + interval ''1 day'' AND id IN (2, 5)');
SELECT outcome('DELETE FROM parent WHERE deleted_at IS NOT NULL');
SELECT outcome('DELETE FROM by_restrict WHERE deleted_at IS NOT NULL; DELETE FROM by_nothing WHERE deleted_at IS NOT NULL; DELETE FROM parent WHERE deleted_at IS NOT NULL');
SELECT outcome('WITH r AS (DELETE FROM by_nothing WHERE deleted_at IS NOT NULL) DELETE FROM parent WHERE id = 4 AND deleted_at IS NOT NULL');
-- SET NULL and SET DEFAULT of live rows that have been pointing to a deleted one
BEGIN;
DELETE FROM parent WHERE id IN (5, 6) AND deleted_at IS NOT NULL;
SELECT * FROM by_null ORDER BY id;
SELECT * FROM by_default ORDER BY id;
ROLLBACK;
-- a default that is deleted itself is none
BEGIN;
DELETE FROM parent WHERE id = 1;
DELETE FROM parent WHERE id = 6 AND deleted_at IS NOT NULL;
ROLLBACK;
-- children in the bin whose parent lives
SELECT outcome('DELETE FROM by_cascade WHERE deleted_at IS NOT NULL');
-- a soft and a real delete in one transaction, and of one row in one statement
SELECT outcome('INSERT INTO by_cascade VALUES (71, 7); DELETE FROM parent WHERE id = 7; DELETE FROM parent WHERE id = 7 AND deleted_at IS NOT NULL');
SELECT outcome('INSERT INTO by_nothing VALUES (71, 7); DELETE FROM by_nothing WHERE id = 71; DELETE FROM parent WHERE id = 7; DELETE FROM parent WHERE id = 7 AND deleted_at IS NOT NULL');
SELECT outcome('INSERT INTO by_cascade VALUES (71, 7); SET LOCAL orm_ext.delete_mode = hard; DELETE FROM parent WHERE id = 7');
-- TRUNCATE
SELECT * FROM compare.refusal('TRUNCATE parent CASCADE');
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
TRUNCATE parent;
ROLLBACK;

--
-- ALTER TABLE: rows that are there are checked as they are, deleted ones too
--
\set QUIET off
CREATE TABLE up (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE down (id int PRIMARY KEY, up int, deleted_at timestamptz);
SELECT compare.manage('up', 'down');
INSERT INTO up VALUES (1), (2), (3);
INSERT INTO down VALUES (1, 1), (2, 2), (3, 3);
DELETE FROM up WHERE id = 2;
-- a live row of a deleted parent is no violation of what the table may hold
ALTER TABLE down ADD CONSTRAINT down_fk FOREIGN KEY (up) REFERENCES up ON DELETE CASCADE;
SELECT compare.dangling();
-- it counts from now on
DELETE FROM up WHERE id = 1;
SELECT id FROM down ORDER BY id;
INSERT INTO down VALUES (4, 1);
-- the row that dangles may stay, change, and go
UPDATE down SET id = 20 WHERE id = 2;
UPDATE down SET up = 2 WHERE id = 20;
UPDATE down SET up = 1 WHERE id = 20;
BEGIN;
DELETE FROM down WHERE id = 20;
UPDATE down SET deleted_at = NULL WHERE id = 20;
ROLLBACK;
ALTER TABLE down DROP CONSTRAINT down_fk;
DELETE FROM up WHERE id = 3;
SELECT id FROM down ORDER BY id;
UPDATE up SET deleted_at = NULL WHERE id = 3;
-- NOT VALID counts for what comes
ALTER TABLE down ADD CONSTRAINT down_fk FOREIGN KEY (up) REFERENCES up NOT VALID;
DELETE FROM up WHERE id = 3;
INSERT INTO down VALUES (4, 2);
ALTER TABLE down VALIDATE CONSTRAINT down_fk;
-- another action, by another name
ALTER TABLE down DROP CONSTRAINT down_fk, ADD CONSTRAINT other_fk FOREIGN KEY (up) REFERENCES up ON DELETE CASCADE;
BEGIN;
DELETE FROM up WHERE id = 3;
SELECT id FROM down ORDER BY id;
ROLLBACK;
ALTER TABLE down RENAME CONSTRAINT other_fk TO "The FK";
ALTER TABLE down RENAME COLUMN up TO "The Up";
ALTER TABLE up RENAME COLUMN id TO "The Id";
ALTER TABLE up RENAME COLUMN deleted_at TO "Gone At";
ALTER TABLE down RENAME TO "Down";
ALTER TABLE up RENAME TO "Up";
BEGIN;
DELETE FROM "Up" WHERE "The Id" = 3;
SELECT id FROM "Down" ORDER BY id;
ROLLBACK;
INSERT INTO "Down" VALUES (4, 2);
ALTER TABLE "Down" ALTER CONSTRAINT "The FK" DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO "Down" VALUES (4, 2);
COMMIT;
ALTER TABLE "Up" ALTER COLUMN "The Id" TYPE bigint;
BEGIN;
DELETE FROM "Up" WHERE "The Id" = 3;
SELECT id FROM "Down" ORDER BY id;
ROLLBACK;
-- a table comes under soft delete, or leaves it
CREATE TABLE early (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE earlier (id int PRIMARY KEY, up int REFERENCES early ON DELETE CASCADE, deleted_at timestamptz);
INSERT INTO early VALUES (1), (2);
INSERT INTO earlier VALUES (1, 1), (2, 2);
PREPARE leave AS DELETE FROM early WHERE id = 1;
BEGIN;
EXECUTE leave;
SELECT id, deleted_at IS NULL FROM earlier;
ROLLBACK;
SELECT compare.manage('early');
BEGIN;
EXECUTE leave;
SELECT id, deleted_at IS NULL FROM earlier ORDER BY id;
ROLLBACK;
SELECT compare.manage('earlier');
BEGIN;
EXECUTE leave;
SELECT id, deleted_at IS NULL FROM earlier WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
ROLLBACK;
ALTER TABLE earlier DROP CONSTRAINT earlier_up_fkey;
BEGIN;
EXECUTE leave;
SELECT id, deleted_at IS NULL FROM earlier WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
ROLLBACK;
ALTER TABLE earlier ADD FOREIGN KEY (up) REFERENCES early;
EXECUTE leave;
DROP TABLE earlier;
EXECUTE leave;
\set QUIET on

DEALLOCATE leave;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
