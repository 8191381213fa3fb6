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
-- Naming: conventions
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.check_naming_template(template text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_check_naming_template';

COMMENT ON FUNCTION orm_ext.check_naming_template(text) IS
'True, if the template can be used. Argument: a template in the token language of SQLAlchemy''s MetaData.naming_convention.
Errors: 22023 an unknown token, or one that is not complete; an empty template.';

CREATE TABLE orm_ext.naming_template (
	schema name,
	kind text NOT NULL
		CONSTRAINT naming_template_kind_check CHECK (kind IN ('pk', 'uq', 'fk', 'ck', 'ix', 'ex')),
	template text
		CONSTRAINT naming_template_template_check CHECK (orm_ext.check_naming_template(template)),
	overflow text NOT NULL DEFAULT 'sqlalchemy'
		CONSTRAINT naming_template_overflow_check CHECK (overflow IN ('sqlalchemy', 'postgres')),
	schema_in_label boolean NOT NULL DEFAULT false,
	CONSTRAINT naming_template_schema_key UNIQUE NULLS NOT DISTINCT (schema, kind)
) USING heap;

COMMENT ON TABLE orm_ext.naming_template IS
'Templates of names: for a schema, or for all schemas that have none of their own (null); where there is none, those of the preset first_column hold.
Kinds are pk, uq, fk, ck, ix (indexes of no constraint) and ex. A null template leaves names of the kind alone. overflow says how names of more than 63 bytes are shortened: sqlalchemy (55 bytes, an underscore and 4 digits of the MD5 of the whole) or postgres (the longest parts are cut). schema_in_label puts the schema into %(column_0_label)s, as SQLAlchemy does for a table that names its schema.';
COMMENT ON COLUMN orm_ext.naming_template.template IS
'Literal text and tokens: %(table_name)s, %(column_0_name)s, %(column_0N_name)s, %(column_0_N_name)s (and column_1_name ...; the same with _label or _key), %(referred_table_name)s, %(referred_column_0_name)s, %(constraint_name)s, %%.';

CREATE FUNCTION orm_ext.naming_template_changed() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_naming_template_changed';

COMMENT ON FUNCTION orm_ext.naming_template_changed() IS
'Trigger function of orm_ext.naming_template: has all sessions read the table again. Errors: 39P01 called otherwise.';

CREATE TRIGGER naming_template_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON orm_ext.naming_template
FOR EACH STATEMENT EXECUTE FUNCTION orm_ext.naming_template_changed();

-- by replication as well
ALTER TABLE orm_ext.naming_template ENABLE ALWAYS TRIGGER naming_template_changed;

GRANT SELECT ON orm_ext.naming_template TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('orm_ext.naming_template', '');

CREATE TABLE orm_ext.naming_exemption (
	object text CONSTRAINT naming_exemption_object_key UNIQUE,
	pattern text
		CONSTRAINT naming_exemption_pattern_check CHECK (pattern IS NULL OR ('' ~ pattern) IS NOT NULL),
	reason text NOT NULL,
	until timestamptz NOT NULL DEFAULT 'infinity',
	CONSTRAINT naming_exemption_check CHECK (pg_catalog.num_nonnulls(object, pattern) = 1)
) USING heap;

COMMENT ON TABLE orm_ext.naming_exemption IS
'Names that are not judged, until a time: the one of an object, written schema.table.name with quotes where identifiers need them, or all that a regular expression matches in that form.';

GRANT SELECT ON orm_ext.naming_exemption TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('orm_ext.naming_exemption', '');

CREATE FUNCTION orm_ext.naming_preset(preset text)
RETURNS TABLE (kind text, template text)
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_naming_preset';

COMMENT ON FUNCTION orm_ext.naming_preset(text) IS
'Templates of a preset. Argument: first_column, all_columns or none (names are left alone).
Errors: 22023 there is no such preset.';

CREATE FUNCTION orm_ext.use_naming(
	preset text,
	schema name DEFAULT NULL,
	overflow text DEFAULT 'sqlalchemy',
	schema_in_label boolean DEFAULT false)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM orm_ext.naming_template AS t WHERE t.schema IS NOT DISTINCT FROM $2;
	INSERT INTO orm_ext.naming_template (schema, kind, template, overflow, schema_in_label)
	SELECT $2, p.kind, p.template, $3, $4 FROM orm_ext.naming_preset($1) AS p;
$$;

COMMENT ON FUNCTION orm_ext.use_naming(text, name, text, boolean) IS
'Puts the templates of a preset into orm_ext.naming_template, in place of what is there.
Arguments: the preset; the schema, null for all that have no templates of their own; overflow and schema_in_label as in the table.
Errors: 22023 there is no such preset, 42501 no right to change the table, 23514 overflow.';

CREATE FUNCTION orm_ext.expected_name(
	kind text,
	rel regclass,
	columns text[] DEFAULT '{}',
	constraint_name text DEFAULT NULL,
	referred regclass DEFAULT NULL,
	referred_columns text[] DEFAULT NULL)
RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'orm_expected_name_of';

COMMENT ON FUNCTION orm_ext.expected_name(text, regclass, text[], text, regclass, text[]) IS
'The name that the convention gives to a constraint or index, shortened if need be; whether it is free is not looked at. Null where the convention gives none.
Arguments: pk, uq, fk, ck, ix or ex; the table; columns, which need not exist; for %(constraint_name)s, the name that was given (a ck of one column goes by that); for fk, the table and the columns that it refers to (null: its primary key).
Errors: 22023 unknown kind, 42P01 no such table.';

-- ---------------------------------------------------------------------------
-- Naming: what exists
-- ---------------------------------------------------------------------------

CREATE FUNCTION orm_ext.naming_audit(schema name DEFAULT NULL)
RETURNS TABLE (kind text, schema name, "table" name, name name, expected name,
	conforms boolean, exempt boolean, object text, classid oid, objid oid)
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_naming_audit';

COMMENT ON FUNCTION orm_ext.naming_audit(name) IS
'Every name of a constraint or index that conventions rule: what it should be, whether it follows the convention, whether it is exempt. Those of partitions and inherited ones are judged at the parent; members of extensions and temporary tables are left out.
Argument: a schema, null for all. No errors.';

CREATE VIEW orm_ext.naming_violations AS
SELECT a.kind, a.schema, a."table", a.name, a.expected, a.object, a.classid, a.objid
FROM orm_ext.naming_audit() AS a
WHERE NOT a.conforms AND NOT a.exempt;

COMMENT ON VIEW orm_ext.naming_violations IS
'Names that do not follow the convention of their schema and are not exempt: kind, schema, table, name, the expected name, the identity for orm_ext.naming_exemption, and the address of the object.';

GRANT SELECT ON orm_ext.naming_violations TO PUBLIC;

CREATE FUNCTION orm_ext.naming_moves(schema name DEFAULT NULL)
RETURNS TABLE (kind text, schema name, "table" name, name name, new_name name, sql text, lock_mode text)
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'orm_naming_moves';

COMMENT ON FUNCTION orm_ext.naming_moves(name) IS
'orm_ext.naming_plan() without the search for who refers to the old names. Argument: a schema, null for all. No errors.';

CREATE FUNCTION orm_ext.naming_plan(schema name DEFAULT NULL)
RETURNS TABLE (kind text, schema name, "table" name, name name, new_name name, sql text, lock_mode text,
	referrers text[])
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH moves AS MATERIALIZED (
		SELECT * FROM orm_ext.naming_moves($1) WITH ORDINALITY
	), texts (referrer, body) AS (
		SELECT 'function ' || p.oid::regprocedure::text, p.prosrc
		FROM pg_proc AS p
			JOIN pg_language AS l ON l.oid = p.prolang
		WHERE l.lanname NOT IN ('internal', 'c')
			AND NOT EXISTS (SELECT FROM pg_depend AS d
				WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
			AND p.pronamespace <> 'pg_catalog'::regnamespace
			AND p.pronamespace <> 'information_schema'::regnamespace
		UNION ALL
		SELECT 'view ' || c.oid::regclass::text, pg_get_viewdef(c.oid)
		FROM pg_class AS c
		WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384
			AND NOT EXISTS (SELECT FROM pg_depend AS d
				WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		UNION ALL
		SELECT 'prepared statement ' || s.name, s.statement
		FROM pg_prepared_statements AS s
	), words AS (
		SELECT m.ordinality, array_agg(DISTINCT t.referrer ORDER BY t.referrer) AS referrers
		FROM moves AS m
			JOIN (SELECT DISTINCT b.referrer, w.word[1] AS word
				FROM texts AS b, regexp_matches(b.body, '[[:word:]$]+', 'g') AS w (word)
				WHERE EXISTS (SELECT FROM moves)) AS t
			ON t.word = m.name::text
		GROUP BY m.ordinality
	)
	SELECT m.kind, m.schema, m."table", m.name, m.new_name, m.sql, m.lock_mode,
		coalesce(w.referrers, '{}')
	FROM moves AS m
		LEFT JOIN words AS w USING (ordinality)
	ORDER BY m.ordinality
$$;

COMMENT ON FUNCTION orm_ext.naming_plan(name) IS
'The statements that give the names of orm_ext.naming_violations what they should be, in an order that runs; where a name is held by another object, digits tell them apart. lock_mode is what a statement takes on the table (on the index alone for ShareUpdateExclusiveLock). referrers are functions, views and prepared statements of this session that have the old name in their text, as in ON CONFLICT ON CONSTRAINT, and need a change too.
Argument: a schema, null for all. No errors.';

CREATE PROCEDURE orm_ext.apply_naming(schema name DEFAULT NULL, dry_run boolean DEFAULT true)
LANGUAGE c
AS 'MODULE_PATHNAME', 'orm_apply_naming';

COMMENT ON PROCEDURE orm_ext.apply_naming(name, boolean) IS
'Runs the statements of orm_ext.naming_plan(), each in a transaction of its own, or all in the one that the caller has begun; with dry_run it only shows them, as notices.
Arguments: a schema, null for all; dry_run.
Errors: 42501 not the owner of a table, 25006 read-only transaction, 55P03 lock_timeout; what was renamed before stays so.';

CREATE FUNCTION orm_ext.naming_baseline(
	schema name DEFAULT NULL,
	reason text DEFAULT 'baseline',
	until timestamptz DEFAULT 'infinity')
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH recorded AS (
		INSERT INTO orm_ext.naming_exemption AS e (object, reason, until)
		SELECT v.object, $2, $3 FROM orm_ext.naming_violations AS v WHERE $1 IS NULL OR v.schema = $1
		ON CONFLICT (object) DO UPDATE SET reason = excluded.reason, until = excluded.until
		RETURNING 1)
	SELECT count(*) FROM recorded
$$;

COMMENT ON FUNCTION orm_ext.naming_baseline(name, text, timestamptz) IS
'Exempts what does not follow the convention today, so that only new names are judged. Returns how many there are.
Arguments: a schema, null for all; the reason; until when.
Errors: 42501 no right to change orm_ext.naming_exemption.';

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

-- ---------------------------------------------------------------------------
-- Lint
-- ---------------------------------------------------------------------------
