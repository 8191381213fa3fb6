--
-- Who sees every row: the server's own foreign-key queries and the checks of
-- ALTER TABLE; but not the triggers and functions that are called from them.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION all_rows(name regclass) RETURNS text LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (SELECT id, parent_id, deleted_at IS NOT NULL FROM %s) AS r', name)
		INTO result;
	RETURN result;
END
$$;

--
-- An unmanaged parent acts on managed children: every row takes part
--
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child_cascade (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, deleted_at timestamptz);
CREATE TABLE child_null (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE SET NULL ON UPDATE SET NULL, deleted_at timestamptz);
CREATE TABLE child_default (id int PRIMARY KEY, parent_id int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT ON UPDATE SET DEFAULT, deleted_at timestamptz);
CREATE TABLE child_restrict (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE RESTRICT ON UPDATE RESTRICT, deleted_at timestamptz);
CREATE TABLE child_plain (id int PRIMARY KEY, parent_id int REFERENCES parent DEFERRABLE, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON child_cascade FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON child_null FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON child_default FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON child_restrict FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON child_plain FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO parent SELECT generate_series(1, 9);
INSERT INTO child_cascade VALUES (1, 2), (2, 2), (3, 3);
INSERT INTO child_null VALUES (1, 4), (2, 4), (3, 5);
INSERT INTO child_default VALUES (1, 6), (2, 6), (3, 7);
INSERT INTO child_restrict VALUES (1, 8);
INSERT INTO child_plain VALUES (1, 9);
-- from now on every parent has a child in the bin
DELETE FROM child_cascade WHERE id IN (1, 3);
DELETE FROM child_null WHERE id IN (1, 3);
DELETE FROM child_default WHERE id IN (1, 3);
DELETE FROM child_restrict;
DELETE FROM child_plain;
\set QUIET off
BEGIN;
DELETE FROM parent WHERE id BETWEEN 2 AND 7;
SELECT all_rows('child_cascade'), all_rows('child_null'), all_rows('child_default');
ROLLBACK;
BEGIN;
UPDATE parent SET id = id + 10 WHERE id BETWEEN 2 AND 7;
SELECT all_rows('child_cascade'), all_rows('child_null'), all_rows('child_default');
ROLLBACK;
-- a child in the bin keeps its parent
DELETE FROM parent WHERE id = 9;
DO $$
BEGIN
	DELETE FROM parent WHERE id = 8;
EXCEPTION WHEN integrity_constraint_violation THEN
	RAISE NOTICE 'restricted, in words that depend on the version';
END
$$;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM parent WHERE id = 9;
COMMIT;
-- until it is gone for good
BEGIN;
DELETE FROM child_restrict WHERE deleted_at IS NOT NULL;
DELETE FROM parent WHERE id = 8;
ROLLBACK;
\set QUIET on

-- a managed parent: its key may not change under a child, live or not
ALTER TABLE parent ADD COLUMN deleted_at timestamptz;
CREATE TRIGGER soft_delete BEFORE DELETE ON parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
UPDATE parent SET id = 19 WHERE id = 9;
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
DELETE FROM parent WHERE id = 9;
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
DELETE FROM parent WHERE id BETWEEN 2 AND 7;
SELECT all_rows('child_cascade'), all_rows('child_null'), all_rows('child_default');
ROLLBACK;
BEGIN;
UPDATE parent SET id = id + 10 WHERE id BETWEEN 2 AND 7;
SELECT all_rows('child_cascade'), all_rows('child_null'), all_rows('child_default');
ROLLBACK;
-- the same for rows that refer to their own table
CREATE TABLE tree (id int PRIMARY KEY, parent_id int REFERENCES tree ON UPDATE CASCADE ON DELETE CASCADE, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON tree FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 2);
DELETE FROM tree WHERE id IN (2, 4);
UPDATE tree SET id = 10 WHERE id = 1;
SELECT all_rows('tree');
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
DELETE FROM tree WHERE id = 10;
SELECT all_rows('tree');
ROLLBACK;

--
-- ALTER TABLE checks all rows
--
CREATE TABLE late_parent (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE late_child (id int PRIMARY KEY, parent_id int, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON late_parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON late_child FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO late_parent VALUES (1), (2);
INSERT INTO late_child VALUES (1, 1), (2, 2), (3, 3), (4, NULL);
DELETE FROM late_parent WHERE id = 2;
DELETE FROM late_child WHERE id >= 3;
-- a deleted child without a parent is one
ALTER TABLE late_child ADD FOREIGN KEY (parent_id) REFERENCES late_parent;
UPDATE late_child SET parent_id = NULL WHERE id = 3 AND deleted_at IS NOT NULL;
-- a child of a deleted parent is none
ALTER TABLE late_child ADD FOREIGN KEY (parent_id) REFERENCES late_parent;
ALTER TABLE late_child DROP CONSTRAINT late_child_parent_id_fkey;
ALTER TABLE late_child ADD CONSTRAINT valid FOREIGN KEY (parent_id) REFERENCES late_parent NOT VALID;
ALTER TABLE late_child VALIDATE CONSTRAINT valid;
SELECT convalidated FROM pg_constraint WHERE conname = 'valid';
-- a deleted row's null is one
ALTER TABLE late_child ALTER COLUMN parent_id SET NOT NULL;
ALTER TABLE late_child ADD CHECK (parent_id IS NOT NULL);
ALTER TABLE late_child ADD CONSTRAINT not_four CHECK (id <> 4) NOT VALID;
ALTER TABLE late_child VALIDATE CONSTRAINT not_four;
ALTER TABLE late_child ADD UNIQUE (parent_id);
-- rewriting a table keeps every row
ALTER TABLE late_child ALTER COLUMN id TYPE bigint;
CREATE INDEX ON late_child (parent_id);
CLUSTER late_child USING late_child_pkey;
VACUUM FULL late_child;
SELECT all_rows('late_child');
-- queries in the expressions of an ALTER TABLE are queries like any other
CREATE FUNCTION live_parents() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM late_parent); END';
ALTER TABLE late_child ADD COLUMN parents bigint DEFAULT live_parents();
SELECT DISTINCT parents FROM late_child;

--
-- Triggers that fire inside the server's actions see live rows, delete softly,
-- and their plans are those that the session would have made anyway
--
CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE pet (id int PRIMARY KEY, parent_id int REFERENCES owner ON DELETE CASCADE ON UPDATE CASCADE, deleted_at timestamptz);
CREATE TABLE toy (id int PRIMARY KEY, parent_id int, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON pet FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON toy FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE FUNCTION toys() RETURNS text LANGUAGE plpgsql AS
	$$BEGIN RETURN (SELECT string_agg(id::text, ' ' ORDER BY id) FROM toy); END$$;
CREATE FUNCTION take_toys(pet int) RETURNS void LANGUAGE plpgsql AS
	'BEGIN DELETE FROM toy WHERE parent_id = pet; END';
CREATE FUNCTION pet_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% of pet %, toys %', tg_op, old.id, toys();
	PERFORM take_toys(old.id);
	RAISE NOTICE 'toys %', toys();
	RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
END
$$;
CREATE TRIGGER pet_leaves BEFORE DELETE OR UPDATE OF parent_id ON pet FOR EACH ROW EXECUTE FUNCTION pet_leaves();
INSERT INTO owner VALUES (1), (2), (3), (4);
INSERT INTO pet VALUES (1, 1), (2, 2), (3, 3), (4, 4);
INSERT INTO toy SELECT i, i / 3 FROM generate_series(3, 14) AS i;
DELETE FROM toy WHERE id IN (3, 6, 9, 12);
SET plan_cache_mode = force_generic_plan;
-- plans are first made inside
DELETE FROM owner WHERE id = 1;
SELECT toys();
SELECT take_toys(2);
SELECT toys();
SELECT all_rows('toy');
-- and when they are there already
UPDATE owner SET id = 13 WHERE id = 3;
SELECT toys();
DELETE FROM owner WHERE id = 4;
SELECT toys();
SELECT all_rows('toy');
SELECT all_rows('pet');
RESET plan_cache_mode;
-- a query of the user's that looks like one of the server's
CREATE OR REPLACE FUNCTION take_toys(pet int) RETURNS void LANGUAGE plpgsql AS
	'BEGIN DELETE FROM toy WHERE parent_id OPERATOR(pg_catalog.=) pet; END';
INSERT INTO toy VALUES (39, 3);
DELETE FROM owner WHERE id = 13;
SELECT all_rows('toy');

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
