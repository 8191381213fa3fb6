--
-- Restores under privileges, row-level security, settings; from functions,
-- prepared statements and triggers.
--
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_client;
CREATE ROLE regress_orm_tenant;
CREATE SCHEMA soft;
GRANT ALL ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE TABLE parent (id int PRIMARY KEY, tenant name, note text, updated_at timestamptz, version int, deleted_at timestamptz, deleted_by text);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, version int DEFAULT 1, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
ALTER TABLE child OWNER TO regress_orm_owner;
INSERT INTO parent VALUES (1, 'regress_orm_client'), (2, 'regress_orm_client'), (3, 'regress_orm_tenant');
INSERT INTO child SELECT i, (i + 1) / 2 FROM generate_series(1, 6) AS i;
CREATE PROCEDURE delete_all() LANGUAGE plpgsql SECURITY DEFINER SET search_path = soft AS 'BEGIN DELETE FROM parent; END';
SELECT compare.contents('soft') AS before \gset
CALL delete_all();

--
-- SELECT on the table and UPDATE of the marker, and of deleted_by; what comes along asks for nothing
--
CREATE FUNCTION as_client(statement text) RETURNS SETOF text LANGUAGE sql AS
	$$SELECT compare.changes(statement, 'regress_orm_client')$$;
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
GRANT SELECT ON parent TO regress_orm_client;
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
GRANT UPDATE (note) ON parent TO regress_orm_client;
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
GRANT UPDATE (deleted_at) ON parent TO regress_orm_client;
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
GRANT UPDATE (deleted_by) ON parent TO regress_orm_client;
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore_where('parent', 'id < 3')$$);
SELECT as_client($$SELECT * FROM orm_ext.restore_where('parent', 'EXISTS (SELECT FROM child)')$$);
SELECT as_client($$SELECT * FROM orm_ext.restore('child', 1)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore_preview('parent', 1)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore_preview('child', 1)$$);
-- a deletion comes back as a whole
SELECT deleted_at AS stamp FROM orm_ext.deletions WHERE rel = 'parent'::regclass \gset
SELECT as_client(format('SELECT * FROM orm_ext.restore_deletion(%L)', :'stamp'));
SELECT as_client(format('SELECT * FROM orm_ext.restore_preview_deletion(%L)', :'stamp'));
REVOKE UPDATE ON parent FROM regress_orm_client;
SELECT as_client(format('SELECT * FROM orm_ext.restore_deletion(%L)', :'stamp'));
SELECT as_client(format('SELECT * FROM orm_ext.restore_deletion(%L)', '1999-09-09'));
GRANT UPDATE (deleted_at, deleted_by) ON parent TO regress_orm_client;
CREATE TABLE other (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON other FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO other VALUES (1, :'stamp');
SELECT as_client(format('SELECT * FROM orm_ext.restore_deletion(%L)', :'stamp'));
SET ROLE regress_orm_client;
SELECT * FROM orm_ext.restore_deletion(:'stamp');
RESET ROLE;
DROP TABLE other;
-- values that the caller may not read are not told
ALTER TABLE child ADD COLUMN secret text;
CREATE UNIQUE INDEX child_secret ON child (secret) WHERE deleted_at IS NULL;
UPDATE child SET secret = 'x' WHERE id = 1 AND deleted_at IS NOT NULL;
INSERT INTO child (id, secret) VALUES (7, 'x');
SELECT as_client($$SELECT * FROM orm_ext.restore_preview('parent', 1)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
SELECT * FROM orm_ext.restore_preview('parent', 1);
DELETE FROM child WHERE id = 7;
DELETE FROM child WHERE id = 7 AND deleted_at IS NOT NULL;
ALTER TABLE child DROP COLUMN secret;

--
-- Row-level security holds for the table that is named, not for what comes along
--
ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
ALTER TABLE child ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON parent USING (tenant = current_user);
GRANT SELECT, UPDATE ON parent TO regress_orm_tenant;
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 3)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore_where('parent', 'true')$$);
SELECT compare.changes($$SELECT * FROM orm_ext.restore_where('parent', 'true')$$, 'regress_orm_tenant');
SELECT as_client($$SELECT * FROM orm_ext.restore_preview_where('parent', 'true')$$);
SELECT as_client(format('SELECT * FROM orm_ext.restore_deletion(%L)', :'stamp'));
SELECT as_client($$SELECT deleted_by IS NULL, rel, rows FROM orm_ext.deletions$$);
CREATE POLICY not_second ON parent AS RESTRICTIVE FOR UPDATE USING (id <> 2);
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 2)$$);
SELECT as_client($$SELECT * FROM orm_ext.restore_where('parent', 'true')$$);
CREATE POLICY no_first ON parent AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (id <> 1 OR deleted_at IS NOT NULL);
SELECT as_client($$SELECT * FROM orm_ext.restore('parent', 1)$$);
DROP POLICY own ON parent;
DROP POLICY not_second ON parent;
DROP POLICY no_first ON parent;
ALTER TABLE parent DISABLE ROW LEVEL SECURITY;
ALTER TABLE child DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

--
-- Whatever the session has set
--
CREATE TABLE other (id int PRIMARY KEY, deleted_at timestamptz);
SET orm_ext.deleted_rows = 'show';
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
SELECT compare.changes($$SELECT * FROM orm_ext.restore_preview('parent', 1)$$);
SET orm_ext.deleted_rows = 'only';
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 9)$$);
RESET orm_ext.deleted_rows;
SET orm_ext.delete_mode = 'hard';
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
RESET orm_ext.delete_mode;
SET row_security = off;
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
RESET row_security;
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Tokyo';
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
RESET datestyle;
RESET timezone;
SET default_transaction_isolation = 'serializable';
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
RESET default_transaction_isolation;
-- operators and tables of the caller's own are not mistaken for the server's
CREATE FUNCTION never(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION never(tid, tid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION never(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION never(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR soft.= (FUNCTION = never, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR soft.= (FUNCTION = never, LEFTARG = tid, RIGHTARG = tid);
CREATE OPERATOR soft.= (FUNCTION = never, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR soft.= (FUNCTION = never, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE TABLE orm_frontier (id int);
CREATE TABLE orm_place (id int);
SET search_path = soft, pg_catalog;
SELECT * FROM orm_ext.restore_preview_where('parent', 'id < 2');
BEGIN;
SELECT * FROM orm_ext.restore_where('parent', 'id < 2');
ROLLBACK;
SET search_path = soft;
DROP OPERATOR soft.= (int, int);
DROP OPERATOR soft.= (tid, tid);
DROP OPERATOR soft.= (oid, oid);
DROP OPERATOR soft.= (timestamptz, timestamptz);
DROP TABLE orm_frontier, orm_place, other;

--
-- Functions, prepared statements, subtransactions
--
PREPARE back (int) AS SELECT * FROM orm_ext.restore('parent', $1);
BEGIN;
EXECUTE back (1);
EXECUTE back (1);
EXECUTE back (2);
SET LOCAL plan_cache_mode = 'force_generic_plan';
EXECUTE back (3);
SELECT compare.contents('soft') = :'before';
CALL delete_all();
EXECUTE back (3);
ROLLBACK;
CREATE FUNCTION try_back(key int, then_fail boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	BEGIN
		SELECT string_agg(r::text, ' ') INTO result FROM orm_ext.restore('parent', key) AS r;
		IF then_fail THEN
			RAISE division_by_zero;
		END IF;
	EXCEPTION WHEN division_by_zero OR no_data_found THEN
		result := concat_ws(', ', result, SQLERRM);
	END;
	RETURN result || ', live: ' || (SELECT count(*) FROM parent);
END
$$;
BEGIN;
SELECT try_back(1, true);
SELECT try_back(9, false);
SELECT try_back(1, false);
SAVEPOINT s;
SELECT try_back(2, false);
ROLLBACK TO s;
SELECT * FROM orm_ext.restore('parent', 2);
SELECT * FROM orm_ext.restore('parent', 3);
SELECT compare.contents('soft') = :'before';
ROLLBACK;
-- in one query with others
SELECT id, r.* FROM parent, orm_ext.restore('parent', id) AS r WHERE deleted_at IS NOT NULL AND id < 3 ORDER BY id, rel::text;
SELECT * FROM orm_ext.restore('parent', 3);
SELECT compare.contents('soft') = :'before';

--
-- Triggers: a restore is an UPDATE to them
--
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON child FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
UPDATE parent SET version = 5, updated_at = '2001-01-01' WHERE false;
CALL delete_all();
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
-- the version that is expected is that of the row that is named
SET orm_ext.expected_version = '1';
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
SELECT version FROM parent WHERE id = 1 AND deleted_at IS NOT NULL \gset
SELECT set_config('orm_ext.expected_version', :'version', false);
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 1)$$);
RESET orm_ext.expected_version;
SET orm_ext.version_guard = 'error';
SELECT compare.changes($$SELECT rel FROM orm_ext.restore('parent', 1)$$);
RESET orm_ext.version_guard;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF tg_level = 'STATEMENT' THEN
		RAISE WARNING '% % of %', tg_when, tg_op, tg_table_name;
		RETURN NULL;
	END IF;
	RAISE WARNING '% % of % %, as %, live parents %', tg_when, tg_op, tg_table_name, old.id, current_user, (SELECT count(*) FROM soft.parent);
	RETURN new;
END
$$;
CREATE TRIGGER tell BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER tell_all AFTER UPDATE OF deleted_at ON parent FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER UPDATE ON child FOR EACH ROW WHEN (old.deleted_at IS NOT NULL AND new.deleted_at IS NULL) EXECUTE FUNCTION tell();
CREATE TRIGGER tell_all BEFORE UPDATE ON child FOR EACH STATEMENT EXECUTE FUNCTION tell();
GRANT SELECT ON parent TO PUBLIC;
SELECT * FROM orm_ext.restore('parent', 1);
DROP TRIGGER tell ON parent;
DROP TRIGGER tell_all ON parent;
DROP TRIGGER tell ON child;
DROP TRIGGER tell_all ON child;
-- one that does the same for its children, one that keeps a row, one that restores another
CREATE FUNCTION on_restore() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF old.deleted_at IS NULL OR new.deleted_at IS NOT NULL THEN
		RETURN new;
	ELSIF tg_argv[0] = 'children' THEN
		UPDATE soft.child SET deleted_at = NULL WHERE parent = new.id AND deleted_at = old.deleted_at AND id % 2 = 0;
	ELSIF tg_argv[0] = 'touch' THEN
		UPDATE soft.child SET version = version + 1 WHERE parent = new.id AND deleted_at = old.deleted_at;
	ELSIF tg_argv[0] = 'keep' THEN
		RETURN NULL;
	ELSIF tg_argv[0] = 'mark' THEN
		new.deleted_at = old.deleted_at;
	ELSIF tg_argv[0] = 'delete' THEN
		DELETE FROM soft.parent WHERE id = new.id;
	ELSIF tg_argv[0] = 'delete parent' THEN
		DELETE FROM soft.parent WHERE id = new.parent;
	ELSIF tg_argv[0] = 'another' AND new.id = 2 THEN
		PERFORM orm_ext.restore('soft.parent', 3);
	END IF;
	RETURN new;
END
$$;
CREATE TRIGGER t AFTER UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION on_restore('children');
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 2)$$);
DROP TRIGGER t ON parent;
CREATE TRIGGER t BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION on_restore('touch');
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 2)$$);
DROP TRIGGER t ON parent;
CREATE TRIGGER t BEFORE UPDATE ON parent FOR EACH ROW WHEN (old.id = 2) EXECUTE FUNCTION on_restore('keep');
SELECT compare.changes($$SELECT * FROM orm_ext.restore_where('parent', 'true')$$);
DROP TRIGGER t ON parent;
CREATE TRIGGER t BEFORE UPDATE ON child FOR EACH ROW WHEN (old.id = 3) EXECUTE FUNCTION on_restore('keep');
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 2)$$);
DROP TRIGGER t ON child;
CREATE TRIGGER t AFTER UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION on_restore('another');
SELECT compare.changes($$SELECT * FROM orm_ext.restore('parent', 2)$$);
DROP TRIGGER t ON parent;
-- ones that delete the row again, or its parent: no child is left alone
CREATE VIEW orphans AS
SELECT count(*) FILTER (WHERE NOT EXISTS (SELECT FROM parent AS p WHERE p.id = c.parent)) AS orphans, count(*) FROM child AS c;
CREATE TRIGGER t BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION on_restore('mark');
BEGIN;
SELECT * FROM orm_ext.restore('parent', 2);
SELECT * FROM orphans;
ROLLBACK;
DROP TRIGGER t ON parent;
CREATE TRIGGER t AFTER UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION on_restore('delete');
BEGIN;
SELECT * FROM orm_ext.restore('parent', 2);
SELECT * FROM orphans;
ROLLBACK;
DROP TRIGGER t ON parent;
GRANT DELETE ON parent TO regress_orm_owner;
CREATE TRIGGER t BEFORE UPDATE ON child FOR EACH ROW WHEN (old.id = 3) EXECUTE FUNCTION on_restore('delete parent');
BEGIN;
SELECT * FROM orm_ext.restore('parent', 2);
SELECT * FROM orphans;
ROLLBACK;
DROP TRIGGER t ON child;

--
-- More rows than memory holds
--
CREATE TABLE many (id int PRIMARY KEY, up int REFERENCES many ON DELETE CASCADE, deleted_at timestamptz);
CREATE INDEX ON many (up);
CREATE TRIGGER soft_delete BEFORE DELETE ON many FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO many SELECT i, nullif(i / 10, 0) FROM generate_series(1, 12000) AS i;
SELECT compare.contents('soft') AS before \gset
DELETE FROM many WHERE up IS NULL;
SET work_mem = '64kB';
SELECT * FROM orm_ext.restore_preview_where('many', 'up IS NULL');
SELECT * FROM orm_ext.restore_where('many', 'up IS NULL');
SELECT compare.contents('soft') = :'before';

DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_owner;
DROP ROLE regress_orm_client;
DROP ROLE regress_orm_tenant;
