/* orm_ext 0.1.0 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION orm_ext" to load this file. \quit

GRANT USAGE ON SCHEMA orm_ext TO PUBLIC;

-- ---------------------------------------------------------------------------
-- Soft delete: the declaration
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.soft_delete() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_soft_delete';

COMMENT ON FUNCTION orm_ext.soft_delete() IS
'Trigger function, BEFORE DELETE FOR EACH ROW: puts the table under soft delete.
Argument: the marker column, of type timestamptz or timestamp (live rows: null), boolean NOT NULL (false) or bigint NOT NULL (0; deleted: microseconds since 1970).
Errors: 39P01 attached as another kind of trigger, 22023 number of arguments, 42703 no such column, 42804 type, 42P16 nullability, 428C9 generated column, 42809 not a table, 42710 attached twice.';

CREATE FUNCTION orm_ext.ddl_command_end() RETURNS event_trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_ddl_command_end';

COMMENT ON FUNCTION orm_ext.ddl_command_end() IS
'Event trigger function: checks declarations when they are created, and has them follow ALTER TABLE.
Errors: 39P03 called otherwise, 2BP01 a column that a declaration names is dropped without CASCADE, and those of the trigger functions.';

CREATE EVENT TRIGGER orm_ext_ddl_command_end ON ddl_command_end
WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER FOREIGN TABLE', 'CREATE TRIGGER')
EXECUTE FUNCTION orm_ext.ddl_command_end();

-- declarations follow their tables in every session
ALTER EVENT TRIGGER orm_ext_ddl_command_end ENABLE ALWAYS;

COMMENT ON EVENT TRIGGER orm_ext_ddl_command_end IS
'Checks the triggers of orm_ext when they are created, and has them follow ALTER TABLE.';

-- ---------------------------------------------------------------------------
-- Soft delete: for queries
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.with_deleted(marker "any") RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_with_deleted';

COMMENT ON FUNCTION orm_ext.with_deleted("any") IS
'True, whatever the argument. WHERE orm_ext.with_deleted(t.deleted_at) mentions the marker of t, so t is read with its deleted rows.
Argument: the marker column of a table reference. No errors.';

CREATE FUNCTION orm_ext.deletion_stamp() RETURNS timestamptz
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'orm_deletion_stamp';

COMMENT ON FUNCTION orm_ext.deletion_stamp() IS
'The clock when the statement first asks, at least one microsecond after the value of any statement before. A soft DELETE gives it to all of its rows. No errors.';

CREATE FUNCTION orm_ext.deletion_stamp_micros() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'orm_deletion_stamp_micros';

COMMENT ON FUNCTION orm_ext.deletion_stamp_micros() IS
'orm_ext.deletion_stamp() in microseconds since 1970-01-01 00:00:00 UTC. No errors.';

CREATE FUNCTION orm_ext.conflicting_row_is_live(live boolean, index regclass) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_conflicting_row_is_live';

COMMENT ON FUNCTION orm_ext.conflicting_row_is_live(boolean, regclass) IS
'Condition that orm_ext adds to ON CONFLICT DO UPDATE where the key is unique over deleted rows too.
Arguments: whether the row in the way is live; the unique index. True for a live row.
Errors: 23505 the row in the way is deleted.';

CREATE FUNCTION orm_ext.check_row_policy(passes boolean, rel regclass, policy text) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_check_row_policy';

COMMENT ON FUNCTION orm_ext.check_row_policy(boolean, regclass, text) IS
'Condition that orm_ext adds to the actions of MERGE on a table with row-level security.
Arguments: whether the row passes the policy; the table; name of the policy, null for several. True where it passes.
Errors: 42501 it does not.';

-- ---------------------------------------------------------------------------
-- Soft delete: for migrations
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.enable_soft_delete(
	rel regclass,
	marker name DEFAULT 'deleted_at',
	marker_type regtype DEFAULT 'timestamptz',
	unique_keys text DEFAULT 'live')
RETURNS SETOF text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_enable_soft_delete';

COMMENT ON FUNCTION orm_ext.enable_soft_delete(regclass, name, regtype, text) IS
'Puts a table under soft delete: adds the marker column where it is missing, the trigger, and converts unique keys. Returns the statements that were run.
Arguments: the table; name of the marker column; its type where it is to be added; unique_keys: live (keys hold among live rows) or all (deleted rows included). Primary keys, keys that a foreign key refers to, deferrable keys and replica identities always hold among all rows.
Errors: 42501 not the owner, 42809 not a table, 42710 under soft delete by another column, 22023 unique_keys, 42804, 42P16 or 428C9 unfit column, 23505 a key is to hold among all rows and does not.';

CREATE FUNCTION orm_ext.disable_soft_delete(
	rel regclass,
	unique_keys text DEFAULT 'live')
RETURNS SETOF text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_disable_soft_delete';

COMMENT ON FUNCTION orm_ext.disable_soft_delete(regclass, text) IS
'Takes a table off soft delete: drops the trigger. Column and rows stay, so deleted rows become visible. Returns the statements that were run.
Arguments: the table; unique_keys: live (keys stay as they are) or all (keys among live rows are made to hold among all rows).
Errors: 42501 not the owner, 42809 not a table, 22023 unique_keys, 23505 a key is to hold among all rows and does not.';

-- ---------------------------------------------------------------------------
-- Versions and timestamps: the declarations
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.version() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_version';

COMMENT ON FUNCTION orm_ext.version() IS
'Trigger function, BEFORE INSERT OR UPDATE [OR DELETE] FOR EACH ROW: keeps a version column for optimistic locking.
Arguments: the column, of type smallint, integer, bigint, uuid or timestamptz; then options: mode=auto|strict|echo, ignore=a,b (columns whose change does not count), overflow=error|wrap, clock=transaction|statement|wall (timestamptz).
A statement that does not list the column has it bumped if the row changed; one that lists it must give the next version (auto, strict) or the stored one (echo; auto).
Errors: OE001 (orm_ext.stale_sqlstate) the row is stale, OE002 mode=echo and no version given, 22003 no next version; 39P01, 22023, 42703, 42804, 428C9, 42710 for the declaration.';

CREATE FUNCTION orm_ext.timestamps() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_timestamps';

COMMENT ON FUNCTION orm_ext.timestamps() IS
'Trigger function, BEFORE INSERT OR UPDATE FOR EACH ROW: keeps when a row was created and updated.
Arguments: the two columns, of type timestamptz, timestamp, date or bigint, either may be empty; then options: clock=transaction|statement|wall, immutable=keep|error (a change of created), ignore=a,b, unit=microseconds|milliseconds|seconds since 1970 (bigint), zone=session|utc (timestamp, date), resent=keep|move (the stored time in the SET list), created_by=column, updated_by=column.
The rule is that of the MySQL manual for automatic timestamps: a value in the SET list wins; otherwise the time moves if another column changed, and never back.
Errors: 428C9 immutable=error and created is changed; 39P01, 22023, 42703, 42804, 428C9, 42710 for the declaration.';

CREATE FUNCTION orm_ext.stamp() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_stamp';

COMMENT ON FUNCTION orm_ext.stamp() IS
'Trigger function, BEFORE INSERT OR UPDATE [OR DELETE] FOR EACH ROW: orm_ext.version() and orm_ext.timestamps() in one pass.
Arguments: version=column, created=column, updated=column, created_by=column, updated_by=column (a string type, integer, bigint, uuid or regrole: orm_ext.actor, else the session user), change_id=column (bigint: number of the transaction, for orm_ext.min_active_change_id()), and the options of the two.
Errors: those of the two, and 22P02 or another where orm_ext.actor is no value of the column.';

CREATE FUNCTION orm_ext.touch_parent() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_touch_parent';

COMMENT ON FUNCTION orm_ext.touch_parent() IS
'Trigger function, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW: a change of a row is one of the row that it refers to. Before the transaction commits, each parent is updated once, in the order of the keys, as the owner of the table with the trigger.
Arguments: a column of the foreign key; the column of the parent to touch, of type timestamptz, timestamp, date or bigint; version=keep|bump (the version of the parent).
Errors: 39P01, 22023, 42703, 42830, 42702, 42804, 428C9 for the declaration; whatever the update of the parent raises.';

-- ---------------------------------------------------------------------------
-- Versions and timestamps: for clients
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.update_checked(rel regclass, key anyelement, version text, changes jsonb) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_update_checked';

COMMENT ON FUNCTION orm_ext.update_checked(regclass, anyelement, text, jsonb) IS
'Updates the row with this primary key if it is of this version, and returns it as it is then.
Arguments: the table; the key, for several columns an object in jsonb; the version that was read; the columns to change and their values.
Errors: OE001 (orm_ext.stale_sqlstate) the row is of another version, or gone; 22004 a null argument, 55000 no version, 42P16 no primary key, 22023 key or changes do not fit, 42703 no such column; whatever the UPDATE raises.';

CREATE FUNCTION orm_ext.update_checked(rel regclass, key text, version text, changes jsonb) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_update_checked';

COMMENT ON FUNCTION orm_ext.update_checked(regclass, text, text, jsonb) IS
'orm_ext.update_checked() for a key in a literal without a type.';

CREATE FUNCTION orm_ext.delete_checked(rel regclass, key anyelement, version text) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_delete_checked';

COMMENT ON FUNCTION orm_ext.delete_checked(regclass, anyelement, text) IS
'Deletes the row with this primary key if it is of this version, and returns it as it was.
Arguments: the table; the key, for several columns an object in jsonb; the version that was read.
Errors: those of orm_ext.update_checked(), as far as they apply.';

CREATE FUNCTION orm_ext.delete_checked(rel regclass, key text, version text) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_delete_checked';

COMMENT ON FUNCTION orm_ext.delete_checked(regclass, text, text) IS
'orm_ext.delete_checked() for a key in a literal without a type.';

CREATE FUNCTION orm_ext.min_active_change_id() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_min_active_change_id';

COMMENT ON FUNCTION orm_ext.min_active_change_id() IS
'The least change_id that may still come: each smaller one is of a transaction that has ended and that this statement sees. Read the rows with last <= change_id and change_id < orm_ext.min_active_change_id() in one statement, and take the bound for the next time. No errors.';

CREATE TABLE orm_ext.change_id_base (base bigint NOT NULL) USING heap;

COMMENT ON TABLE orm_ext.change_id_base IS
'At most one row: what is added to the number of a transaction to make a change_id. Kept by orm_ext; not dumped, since it belongs to the cluster.';

CREATE FUNCTION orm_ext.lift_change_ids(rel regclass) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_lift_change_ids_of';

COMMENT ON FUNCTION orm_ext.lift_change_ids(regclass) IS
'Has new change_ids exceed those that a table holds, where rows came in by replication or under orm_ext.bypass_stamps; CREATE TRIGGER does so by itself. Waits for transactions that write change_ids, if there is something to lift.
Argument: the table.
Errors: 42501 not the owner, 55000 no trigger of the table keeps a change_id.';

-- ---------------------------------------------------------------------------
-- What is managed
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.manage(rel regclass, VARIADIC options text[] DEFAULT '{}')
RETURNS TABLE (policy text, "column" name, trigger name)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_manage';

COMMENT ON FUNCTION orm_ext.manage(regclass, text[]) IS
'Attaches to a table, and to its inheritance children, the policies that its columns call for: version_id, version or lock_version; created_at, updated_at; created_by, updated_by; deleted_at; or the same in camel case. Returns one row for each that was attached; what there is stays.
Arguments: the table; options of orm_ext.stamp(), such as mode=strict.
Errors: 42501 not the owner, 42809 not a table, 22023 unknown option, and those of orm_ext.enable_soft_delete().';

CREATE FUNCTION orm_ext.unmanage(rel regclass)
RETURNS TABLE (policy text, "column" name, trigger name)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_unmanage';

COMMENT ON FUNCTION orm_ext.unmanage(regclass) IS
'Takes all policies off a table and its inheritance children, and returns one row for each. Columns and rows stay, so deleted rows become visible, of which a WARNING tells.
Argument: the table.
Errors: 42501 not the owner, 42809 not a table.';

CREATE FUNCTION orm_ext.manage_new_tables() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_manage_new_tables';

COMMENT ON FUNCTION orm_ext.manage_new_tables() IS
'Calls orm_ext.manage() for the tables that the DDL command at hand has created in the schemas that orm_ext.auto_manage lists; partitions, and tables that a dump creates, are left alone.
Errors: 39P03 called outside an event trigger, and those of orm_ext.manage().';

-- in PL/pgSQL, so that creating a table does not load the library where the setting is not made
CREATE FUNCTION orm_ext.table_created() RETURNS event_trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF current_setting('orm_ext.auto_manage', true) <> '' THEN
		PERFORM orm_ext.manage_new_tables();
	END IF;
END
$$;

COMMENT ON FUNCTION orm_ext.table_created() IS
'Event trigger function: manages new tables where orm_ext.auto_manage says so. Errors: those of orm_ext.manage_new_tables().';

CREATE EVENT TRIGGER orm_ext_table_created ON ddl_command_end
WHEN TAG IN ('CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
EXECUTE FUNCTION orm_ext.table_created();

COMMENT ON EVENT TRIGGER orm_ext_table_created IS
'Manages new tables where orm_ext.auto_manage says so.';

CREATE FUNCTION orm_ext.trigger_policies(function oid, arguments bytea)
RETURNS TABLE (policy text, "column" name, options text[])
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_trigger_policies';

COMMENT ON FUNCTION orm_ext.trigger_policies(oid, bytea) IS
'What a trigger declares, as orm_ext.managed shows it. Arguments: tgfoid and tgargs of pg_trigger.
Errors: 22021 the arguments are no text.';

CREATE VIEW orm_ext.managed AS
SELECT t.tgrelid::regclass AS "table",
	p.policy,
	p."column",
	t.tgname AS trigger,
	t.tgenabled <> 'D' AS enabled,
	p.options
FROM pg_catalog.pg_trigger AS t,
	orm_ext.trigger_policies(t.tgfoid, t.tgargs) AS p
WHERE t.tgfoid IN (
	'orm_ext.soft_delete()'::pg_catalog.regprocedure,
	'orm_ext.stamp()'::pg_catalog.regprocedure,
	'orm_ext.timestamps()'::pg_catalog.regprocedure,
	'orm_ext.touch_parent()'::pg_catalog.regprocedure,
	'orm_ext.version()'::pg_catalog.regprocedure);

COMMENT ON VIEW orm_ext.managed IS
'Every policy that a trigger of orm_ext declares: table, policy, the column that it keeps, the trigger, whether that is enabled, and its options.';

GRANT SELECT ON orm_ext.managed TO PUBLIC;

-- ---------------------------------------------------------------------------
-- Is it on?
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.loaded_version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_loaded_version';

COMMENT ON FUNCTION orm_ext.loaded_version() IS
'Version of the library in this session. No errors.';

CREATE FUNCTION orm_ext.loaded_by() RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'orm_loaded_by';

COMMENT ON FUNCTION orm_ext.loaded_by() IS
'What brought the library into this session: shared_preload_libraries, session_preload_libraries, or the session itself. No errors.';

CREATE FUNCTION orm_ext.new_sessions_preload() RETURNS boolean
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'orm_new_sessions_preload';

COMMENT ON FUNCTION orm_ext.new_sessions_preload() IS
'Will new sessions of this database load the library? Settings of single roles are left out. No errors.';

CREATE FUNCTION orm_ext.preload() RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_preload';

COMMENT ON FUNCTION orm_ext.preload() IS
'Has new sessions of this database load the library, by ALTER DATABASE ... SET session_preload_libraries; what that holds already stays. Returns the statement that was run.
Errors: 42501 the role may not alter the database or the setting.';

CREATE FUNCTION orm_ext.status()
RETURNS TABLE (item text, value text, action text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	objects text := (SELECT extversion FROM pg_extension WHERE extname = 'orm_ext');
	library text;
	tables bigint := (SELECT count(DISTINCT tgrelid) FROM pg_trigger
		WHERE tgfoid = 'orm_ext.soft_delete()'::regprocedure AND tgenabled <> 'D');
	stamped bigint := (SELECT count(DISTINCT tgrelid) FROM pg_trigger
		WHERE tgfoid IN ('orm_ext.stamp()'::regprocedure, 'orm_ext.timestamps()'::regprocedure,
			'orm_ext.version()'::regprocedure) AND tgenabled <> 'D');
	preloaded boolean;
BEGIN
	item := 'objects'; value := objects; action := NULL;
	RETURN NEXT;

	-- a library that is gone or older must not keep the rest from being told
	item := 'library';
	BEGIN
		library := orm_ext.loaded_version();
		preloaded := orm_ext.new_sessions_preload();
		value := library;
		IF library <> objects THEN
			action := 'ALTER EXTENSION orm_ext UPDATE; or, if the library is the older one, install the new one and reconnect';
		END IF;
	EXCEPTION WHEN undefined_file OR undefined_function THEN
		value := 'missing: ' || SQLERRM;
		action := 'make install, as in README, and reconnect';
	END;
	RETURN NEXT;

	IF library IS NOT NULL THEN
		item := 'loaded by'; value := orm_ext.loaded_by(); action := NULL;
		RETURN NEXT;

		item := 'new sessions load it'; value := CASE WHEN preloaded THEN 'yes' ELSE 'no' END;
		action := CASE WHEN NOT preloaded THEN 'SELECT orm_ext.preload(); and reconnect open sessions' END;
		RETURN NEXT;
	END IF;

	item := 'tables under soft delete'; value := tables::text; action := NULL;
	RETURN NEXT;

	item := 'tables with stamps'; value := stamped::text; action := NULL;
	RETURN NEXT;
END
$$;

COMMENT ON FUNCTION orm_ext.status() IS
'Is orm_ext on here? One row per item: item, value, and what to do if it is not as it should be. No errors.';
