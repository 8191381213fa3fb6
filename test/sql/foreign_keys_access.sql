--
-- Who may delete: privileges, row-level security, and settings and triggers that
-- switch things off.  Actions and checks are run with the rights of the tables'
-- owners, as the server's are.
--
CALL compare.start_over();
CREATE ROLE regress_orm_deleter;
CREATE ROLE regress_orm_writer;
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_child_owner;
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at';
GRANT USAGE ON SCHEMA soft, twin TO PUBLIC;
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, secret text, deleted_at timestamptz);
	CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent ON DELETE CASCADE, owner text DEFAULT 'me', deleted_at timestamptz);
	CREATE TABLE below (id int PRIMARY KEY, up int REFERENCES child ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE guard (id int PRIMARY KEY, up int REFERENCES parent, deleted_at timestamptz);
	INSERT INTO parent SELECT i, 's' FROM generate_series(1, 6) AS i;
	INSERT INTO child VALUES (1, 1), (3, 3), (4, 4);
	INSERT INTO child VALUES (2, 2, 'other');
	INSERT INTO below VALUES (1, 1), (2, 2);
	INSERT INTO guard VALUES (4, 4);
$$);
SELECT compare.manage('parent', 'child', 'below', 'guard');
CALL compare.in_both('DELETE FROM parent WHERE id = 6');

--
-- Privileges on the deleted and on the inserted rows' tables alone
--
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent WHERE id = 1');
CALL compare.in_both('GRANT DELETE, SELECT (id) ON parent TO regress_orm_deleter');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent WHERE id = 1');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent WHERE id IN (2, 3) RETURNING id');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent WHERE id = 4');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM child WHERE id = 1');
SELECT compare.fk_as('regress_orm_deleter', 'MERGE INTO parent USING (SELECT 1) AS s (k) ON id = k WHEN MATCHED THEN DELETE');
CALL compare.in_both('REVOKE SELECT (id) ON parent FROM regress_orm_deleter');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent');
CALL compare.in_both('DELETE FROM guard');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent');
CALL compare.in_both('INSERT INTO guard VALUES (5, 5)');
-- who may not read the key is not told it
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent');
CALL compare.in_both('GRANT INSERT, UPDATE, SELECT ON child TO regress_orm_writer');
SELECT compare.fk_as('regress_orm_writer', 'INSERT INTO child VALUES (10, 5)');
SELECT compare.fk_as('regress_orm_writer', 'INSERT INTO child VALUES (10, 6)');
SELECT compare.fk_as('regress_orm_writer', 'UPDATE child SET up = 6 WHERE id = 1');
CALL compare.in_both('GRANT SELECT ON parent TO regress_orm_writer');
SELECT compare.fk_as('regress_orm_writer', 'INSERT INTO child VALUES (10, 6)');
-- UPDATE of the marker, by one who has no right on the other tables
GRANT UPDATE (deleted_at), SELECT ON soft.parent TO regress_orm_writer;
GRANT DELETE ON twin.parent TO regress_orm_writer;
SELECT compare.fk('UPDATE parent SET deleted_at = now() WHERE id = 2', 'DELETE FROM parent WHERE id = 2', 'regress_orm_writer');
SELECT compare.fk('UPDATE parent SET deleted_at = now() WHERE id = 5', 'DELETE FROM parent WHERE id = 5', 'regress_orm_writer');

--
-- Row-level security, of the deleted row's table and of those behind it
--
CALL compare.in_both($$
	ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
	CREATE POLICY few ON parent USING (id < 5);
	GRANT ALL ON parent TO regress_orm_writer;
$$);
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent');
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent WHERE id IN (1, 2, 5)');
SELECT compare.fk_as('regress_orm_writer', 'INSERT INTO child VALUES (10, 5)');
SELECT compare.fk_as('regress_orm_writer', 'INSERT INTO child VALUES (10, 6)');
CALL compare.in_both('INSERT INTO guard VALUES (44, 4)');
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent WHERE id = 4');
CALL compare.in_both($$
	ALTER TABLE child ENABLE ROW LEVEL SECURITY;
	CREATE POLICY mine ON child USING (owner = 'me') WITH CHECK (false);
	ALTER TABLE guard ENABLE ROW LEVEL SECURITY;
$$);
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent WHERE id <= 3');
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent WHERE id = 4');
CALL compare.in_both($$
	ALTER TABLE parent OWNER TO regress_orm_owner;
	ALTER TABLE child OWNER TO regress_orm_child_owner;
	ALTER TABLE below OWNER TO regress_orm_child_owner;
	ALTER TABLE guard OWNER TO regress_orm_child_owner;
	ALTER TABLE child FORCE ROW LEVEL SECURITY;
	ALTER TABLE parent FORCE ROW LEVEL SECURITY;
	ALTER TABLE guard FORCE ROW LEVEL SECURITY;
$$);
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent WHERE id <= 3');
SELECT compare.fk_as('regress_orm_owner', 'DELETE FROM parent WHERE id <= 3');
SELECT compare.fk_as('regress_orm_owner', 'DELETE FROM parent WHERE id = 4');
SELECT compare.fk_as('regress_orm_deleter', 'DELETE FROM parent');
SELECT compare.fk('DELETE FROM parent WHERE id <= 3');
SET row_security = off;
SELECT compare.fk_as('regress_orm_owner', 'DELETE FROM parent WHERE id <= 3');
RESET row_security;
CALL compare.in_both('ALTER TABLE parent NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY');
-- an owner who may not even look into its own table cannot have it changed on its behalf
CALL compare.in_both('REVOKE ALL ON child FROM regress_orm_child_owner');
SELECT compare.fk_as('regress_orm_owner', 'DELETE FROM parent WHERE id = 1');
CALL compare.in_both('GRANT ALL ON child TO regress_orm_child_owner');
REVOKE UPDATE ON soft.child FROM regress_orm_child_owner;
SELECT compare.fk_as('regress_orm_owner', 'DELETE FROM parent WHERE id = 1');
GRANT ALL ON soft.child TO regress_orm_child_owner;
CALL compare.in_both('REVOKE USAGE ON SCHEMA soft, twin FROM PUBLIC; GRANT USAGE ON SCHEMA soft, twin TO regress_orm_owner');
SELECT side, compare.reply(side, 'DELETE FROM parent WHERE id = 1', 'regress_orm_owner') FROM unnest('{soft,twin}'::name[]) AS side;
CALL compare.in_both('GRANT USAGE ON SCHEMA soft, twin TO PUBLIC');
-- whose rights a trigger of the child has (up to 17 the caller's, then those of
-- whoever runs the statement that it is queued by), and whether it sees its rows
CALL compare.in_both($$
	CREATE TABLE noted (id int, role name, rows bigint);
	GRANT ALL ON noted TO PUBLIC;
	GRANT SELECT ON child TO regress_orm_owner, regress_orm_writer;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %1$I.noted SELECT %2$s, current_user, count(*) FROM %1$I.child', tg_table_schema, old.id);
		RETURN NULL;
	END
	$f$;
$$);
CREATE TRIGGER note AFTER UPDATE ON soft.child FOR EACH ROW EXECUTE FUNCTION soft.note();
CREATE TRIGGER note AFTER DELETE ON twin.child FOR EACH ROW EXECUTE FUNCTION twin.note();
SELECT compare.fk_as('regress_orm_owner', 'DELETE FROM parent WHERE id IN (1, 2)');
SELECT compare.fk_as('regress_orm_writer', 'DELETE FROM parent WHERE id = 1');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
BEGIN;
SET LOCAL ROLE regress_orm_owner;
DELETE FROM soft.parent WHERE id IN (1, 2);
DELETE FROM twin.parent WHERE id IN (1, 2);
SELECT id, rows, s.role = t.role AS same_role FROM soft.noted AS s JOIN twin.noted AS t USING (id, rows) ORDER BY id;
ROLLBACK;
CALL compare.in_both('DROP TRIGGER note ON child');
CALL compare.in_both('ALTER TABLE child NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY');
CALL compare.in_both('ALTER TABLE guard NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY');

--
-- In a security definer's name, in one who has a search_path of its own, and read-only
--
CALL compare.in_both($$
	CREATE FUNCTION leave(n int) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS '';
$$);
CREATE OR REPLACE FUNCTION soft.leave(n int) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'DELETE FROM soft.parent WHERE id = n';
CREATE OR REPLACE FUNCTION twin.leave(n int) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'DELETE FROM twin.parent WHERE id = n';
SELECT compare.fk_as('regress_orm_deleter', 'SELECT leave(1)');
SELECT compare.fk_as('regress_orm_deleter', 'SELECT leave(4)');
-- operators of the same name in the way
CREATE FUNCTION soft.never(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR soft.= (LEFTARG = int, RIGHTARG = int, FUNCTION = soft.never);
CREATE FUNCTION soft.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT timestamptz '1999-01-01'$$;
BEGIN;
SET LOCAL search_path = soft, pg_catalog;
DELETE FROM parent WHERE id BETWEEN 1 AND 1;
SELECT c.id, c.deleted_at > '2000-01-01' FROM child AS c WHERE c.deleted_at IS NOT NULL;
ROLLBACK;
DROP OPERATOR soft.= (int, int);
DROP FUNCTION soft.never(int, int), soft.now();

-- deleted rows would be seen from now on
SET orm_ext.delete_mode = 'hard';
DELETE FROM soft.guard WHERE deleted_at IS NOT NULL;
DELETE FROM soft.parent WHERE deleted_at IS NOT NULL;
RESET orm_ext.delete_mode;

--
-- Switched off: a table whose trigger is disabled is a plain one, as a parent and as a child
--
ALTER TABLE soft.parent DISABLE TRIGGER soft_delete;
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('DELETE FROM child WHERE id = 2');
ALTER TABLE soft.parent ENABLE TRIGGER soft_delete;
ALTER TABLE soft.guard DISABLE TRIGGER soft_delete;
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
ALTER TABLE soft.guard ENABLE TRIGGER soft_delete;
ALTER TABLE soft.child DISABLE TRIGGER soft_delete;
SET search_path = soft;
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
SELECT compare.changes('DELETE FROM child WHERE id = 1');
RESET search_path;
ALTER TABLE soft.child ENABLE TRIGGER soft_delete;
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
-- with a row that is deleted
SELECT compare.changes('DELETE FROM soft.parent WHERE id = 5; INSERT INTO soft.child VALUES (10, 5)');
SELECT compare.changes('DELETE FROM soft.guard; DELETE FROM soft.parent WHERE id = 5; INSERT INTO soft.child VALUES (10, 5)');
SELECT compare.changes('DELETE FROM soft.guard; DELETE FROM soft.parent WHERE id = 5; ALTER TABLE soft.child DISABLE TRIGGER soft_delete; INSERT INTO soft.child VALUES (10, 5)');
SELECT compare.changes('DELETE FROM soft.guard; DELETE FROM soft.parent WHERE id = 5; ALTER TABLE soft.parent DISABLE TRIGGER soft_delete; INSERT INTO soft.child VALUES (10, 5)');
-- replica: neither the server's triggers nor this
SET session_replication_role = replica;
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('INSERT INTO child VALUES (10, 6)');
SELECT compare.fk('UPDATE child SET up = 99 WHERE id = 1');
SET search_path = soft;
SELECT compare.changes('UPDATE parent SET deleted_at = now() WHERE id IN (1, 4)');
-- a trigger that is always on keeps the row; references are as ever the server's to check
ALTER TABLE parent ENABLE ALWAYS TRIGGER soft_delete;
ALTER TABLE child ENABLE ALWAYS TRIGGER soft_delete;
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
SELECT compare.changes('DELETE FROM parent WHERE id = 4');
SELECT compare.changes('UPDATE parent SET deleted_at = now() WHERE id IN (1, 4)');
SELECT compare.changes('INSERT INTO child VALUES (10, 6)');
RESET session_replication_role;
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
SELECT compare.changes('DELETE FROM parent WHERE id = 4');
ALTER TABLE parent ENABLE REPLICA TRIGGER soft_delete;
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
ALTER TABLE parent ENABLE TRIGGER soft_delete;
ALTER TABLE child ENABLE TRIGGER soft_delete;
-- all triggers off: the server's foreign keys too
ALTER TABLE soft.parent DISABLE TRIGGER ALL;
ALTER TABLE twin.parent DISABLE TRIGGER ALL;
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
ALTER TABLE soft.parent ENABLE TRIGGER soft_delete;
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
SELECT compare.changes('DELETE FROM parent WHERE id = 4');
ALTER TABLE soft.parent ENABLE TRIGGER ALL;
ALTER TABLE twin.parent ENABLE TRIGGER ALL;
ALTER TABLE soft.child DISABLE TRIGGER ALL;
ALTER TABLE soft.child ENABLE TRIGGER soft_delete;
ALTER TABLE twin.child DISABLE TRIGGER ALL;
SELECT compare.fk('INSERT INTO child VALUES (10, 6)');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
ALTER TABLE soft.child ENABLE TRIGGER ALL;
ALTER TABLE twin.child ENABLE TRIGGER ALL;
RESET search_path;

--
-- Settings
--
SET orm_ext.delete_mode = 'hard';
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('UPDATE parent SET deleted_at = now() WHERE id = 1', 'DELETE FROM parent WHERE id = 1');
SELECT compare.fk('UPDATE parent SET deleted_at = now() WHERE id = 4', 'DELETE FROM parent WHERE id = 4');
RESET orm_ext.delete_mode;
SET default_transaction_isolation = 'serializable';
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 2)');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('INSERT INTO child VALUES (10, 6)');
SET default_transaction_isolation = 'repeatable read';
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 2)');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('INSERT INTO child VALUES (10, 6)');
RESET default_transaction_isolation;
SET plan_cache_mode = force_generic_plan;
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 2)');
RESET plan_cache_mode;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SET enable_seqscan = off;
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 2)');
RESET enable_indexscan;
RESET enable_bitmapscan;
RESET enable_seqscan;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP ROLE regress_orm_deleter, regress_orm_writer, regress_orm_owner, regress_orm_child_owner;
