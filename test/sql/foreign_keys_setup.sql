--
-- What the tests of foreign keys stand on: the same statement on tables under
-- soft delete in schema soft and on plain ones in schema twin, with all that its
-- error says, the rows that it marks, and the references that it leaves dangling.
--

-- Run a statement in one schema and role, as compare.answer() does, but with the
-- detail of an error and the names of its table and constraint.
CREATE FUNCTION compare.reply(schema name, statement text, who name DEFAULT 'none') RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	discard text := (SELECT reset_val FROM pg_settings WHERE name = 'debug_discard_caches');
	lines text[] := '{}';
	line record;
	n bigint;
	message text; detail text;
	table_name text; column_name text; constraint_name text;
BEGIN
	PERFORM set_config('search_path', quote_ident(schema), true);
	PERFORM set_config('debug_discard_caches', discard, true);
	PERFORM set_config('role', who, true);
	BEGIN
		FOR line IN EXECUTE statement LOOP
			lines := lines || line::text;
		END LOOP;
		lines := (SELECT coalesce(array_agg(l ORDER BY l), '{}') FROM unnest(lines) AS l)
			|| (cardinality(lines) || ' returned');
	EXCEPTION WHEN invalid_cursor_definition THEN	-- it returns no rows
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
		lines := ARRAY[n || ' changed'];
	END;
	PERFORM set_config('role', 'none', true);
	PERFORM set_config('debug_discard_caches', '0', true);
	RETURN lines;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		table_name = TABLE_NAME, column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
	RETURN ARRAY[format('table "%s", column "%s", constraint "%s"', table_name, column_name, constraint_name),
		concat_ws(' | ', SQLSTATE, message, nullif(detail, ''))];
END
$$;

-- What a row's marker says: null for a live row, a time or "true" for a deleted
-- one.  The tests' markers have these names: deleted_at timestamptz, removed_at
-- timestamp, dead bigint, gone boolean.
CREATE FUNCTION compare.mark(this_row jsonb) RETURNS text
LANGUAGE sql STABLE SET timezone = 'UTC' AS $$
SELECT coalesce((this_row ->> 'deleted_at')::timestamptz::text, (this_row ->> 'removed_at')::timestamp::timestamptz::text,
				(timestamptz 'epoch' + nullif(this_row ->> 'dead', '0')::bigint * interval '1 microsecond')::text,
				nullif(this_row ->> 'gone', 'false'))
$$;

-- Rows by table: "child 1 2, parent 1".
CREATE FUNCTION compare.listed(keys text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT string_agg(name || ' ' || ids, ', ' ORDER BY name)
FROM (SELECT part[1], string_agg(part[2], ' ' ORDER BY part[2]::int)
	  FROM unnest(keys) AS key, regexp_match(key, '^(.*) (\d+)$') AS part GROUP BY 1) AS r (name, ids)
$$;

-- What became of the rows of schema soft between two snapshots.
CREATE FUNCTION compare.transitions(old jsonb, new jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
WITH state AS (
	SELECT key, old ? key AS before, new ? key AS after, compare.mark(old -> key) AS old_mark, compare.mark(new -> key) AS new_mark
	FROM jsonb_object_keys(old || new) AS key
), list AS (
	SELECT compare.listed(array_agg(key) FILTER (WHERE before AND after AND old_mark IS NULL AND new_mark IS NOT NULL)) AS marked,
		count(DISTINCT new_mark) FILTER (WHERE before AND after AND old_mark IS NULL AND new_mark <> 'true') AS stamps,
		compare.listed(array_agg(key) FILTER (WHERE after AND old_mark IS NOT NULL AND new_mark IS NULL)) AS back,
		compare.listed(array_agg(key) FILTER (WHERE old_mark <> new_mark)) AS again,
		compare.listed(array_agg(key) FILTER (WHERE NOT before)) AS new,
		compare.listed(array_agg(key) FILTER (WHERE NOT after)) AS gone
	FROM state
)
SELECT concat_ws('; ', CASE WHEN marked IS NULL THEN 'marks nothing' ELSE 'marks ' || marked END,
				 CASE WHEN stamps > 1 THEN stamps || ' STAMPS' END, 'marks anew ' || again, 'brings back ' || back,
				 'new: ' || new, 'gone for good: ' || gone)
FROM list
$$;

-- Live rows of schema soft that refer to a deleted row through a foreign key
-- that should have kept them from it.
CREATE FUNCTION compare.dangling() RETURNS text
LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' AS $$
DECLARE
	fk record;
	ids text;
	result text;
BEGIN
	FOR fk IN
		SELECT c.conname, CASE cc.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || c.conrelid::regclass AS child,
			CASE pc.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || c.confrelid::regclass AS parent,
			(SELECT string_agg(format('this_parent.%I = this_child.%I', pa.attname, ca.attname), ' AND ')
			 FROM unnest(c.conkey, c.confkey) AS k (ck, pk)
				JOIN pg_attribute AS ca ON ca.attrelid = c.conrelid AND ca.attnum = ck
				JOIN pg_attribute AS pa ON pa.attrelid = c.confrelid AND pa.attnum = pk) AS condition
		FROM pg_constraint AS c
			JOIN pg_class AS cc ON cc.oid = c.conrelid JOIN pg_class AS pc ON pc.oid = c.confrelid
			JOIN pg_trigger AS ct ON ct.tgrelid = c.conrelid AND ct.tgname = 'soft_delete' AND ct.tgenabled <> 'D'
			JOIN pg_trigger AS pt ON pt.tgrelid = c.confrelid AND pt.tgname = 'soft_delete' AND pt.tgenabled <> 'D'
		WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confdeltype IN ('c', 'r', 'a')
			AND c.connamespace = 'soft'::regnamespace
			AND position('off' IN encode(ct.tgargs, 'escape') || encode(pt.tgargs, 'escape')) = 0
		ORDER BY c.conname
	LOOP
		EXECUTE format('SELECT string_agg(this_child.id::text, '' '' ORDER BY this_child.id) FROM %s AS this_child JOIN %s AS this_parent ON %s
					   WHERE compare.mark(to_jsonb(this_child)) IS NULL AND compare.mark(to_jsonb(this_parent)) IS NOT NULL', fk.child, fk.parent, fk.condition)
			INTO ids;
		result := nullif(concat_ws(', ', result, fk.conname || ' ' || ids), '');
	END LOOP;
	RETURN result;
END
$$;

-- What SET CONSTRAINTS says is forgotten with a subtransaction only where it has
-- used the command itself, and not one below it.
CREATE TABLE compare.deferrable (id int CONSTRAINT deferrable_id_key UNIQUE DEFERRABLE);

-- Run a statement in one schema: its answer, what is to be seen after it, and in
-- schema soft what becomes of the rows; then undo it.
CREATE FUNCTION compare.outcome(schema name, statement text, who name, answer OUT text[], seen OUT text[], rows OUT text)
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	old jsonb := compare.snapshot();
BEGIN
	SET CONSTRAINTS compare.deferrable_id_key IMMEDIATE;
	answer := compare.reply(schema, statement, who);
	-- what is really there, whatever the session may see
	PERFORM set_config('orm_ext.deleted_rows', 'hide', true), set_config('row_security', 'on', true);
	seen := compare.contents(schema);
	IF schema = 'soft' THEN
		rows := concat_ws('; ', compare.transitions(old, compare.snapshot()), 'DANGLING ' || compare.dangling());
	END IF;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	PERFORM set_config('search_path', path, true);
END
$$;

-- The words of versions before 18: violations of RESTRICT, and foreign keys that
-- a partition has from its parent.
CREATE FUNCTION compare.as_before_18(verdict text) RETURNS text
LANGUAGE sql AS $$
SELECT regexp_replace(regexp_replace(verdict, '^same, 23001 (.* violates) RESTRICT setting of (.*) is referenced from', 'same, 23503 \1 \2 is still referenced from'),
					  '_fkey_(\d+")', '_fkey\1', 'g')
$$;

-- Compare a statement with a twin's, or with itself there.
CREATE FUNCTION compare.fk(statement text, twin text DEFAULT NULL, who name DEFAULT 'none') RETURNS text
LANGUAGE sql AS $$
SELECT concat_ws('; ', compare.as_before_18(compare.verdict(s.answer, t.answer)),
				 CASE WHEN s.seen <> t.seen THEN 'contents ' || compare.verdict(s.seen, t.seen) END, s.rows)
FROM compare.outcome('soft', statement, who) AS s, compare.outcome('twin', coalesce(twin, statement), who) AS t
$$;

CREATE FUNCTION compare.fk_as(who name, statement text) RETURNS text
LANGUAGE sql AS 'SELECT compare.fk(statement, NULL, who)';

-- The same for a statement that is kept in both schemas.
CREATE FUNCTION compare.keep(statement text, twin text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	result text := compare.fk(statement, twin);
BEGIN
	PERFORM compare.reply('soft', statement), compare.reply('twin', coalesce(twin, statement));
	PERFORM set_config('search_path', path, true);
	RETURN result;
END
$$;

-- Ways to delete the row of table parent whose id stands for %1$s: in schema
-- soft, and, where that is not the same, in schema twin.
CREATE TABLE compare.way (name text PRIMARY KEY, n serial, soft text NOT NULL, twin text);

-- What the first way does, and which of the others do the same; how those differ
-- that do not.
CREATE FUNCTION compare.by_all_ways(id int, only_ways text DEFAULT '') RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	way record;
	first text;
	result text;
	short text;
	same text;
BEGIN
	FOR way IN SELECT * FROM compare.way WHERE name ~ only_ways ORDER BY n LOOP
		result := compare.fk(format(way.soft, id), format(way.twin, id));
		short := regexp_replace(result, '^same, \d+ (changed|returned)', 'same');
		IF first IS NULL THEN
			RETURN NEXT id || ' by ' || way.name || ': ' || result;
			first := short;
		ELSIF short = first THEN
			same := concat_ws(', ', same, way.name);
		ELSE
			RETURN NEXT '  by ' || way.name || ': ' || result;
		END IF;
	END LOOP;
	RETURN NEXT '  the same by ' || coalesce(same, 'none');
END
$$;

-- Put tables of schema soft under soft delete: 'table', or 'table:marker'.
CREATE FUNCTION compare.manage(VARIADIC tables text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY tables LOOP
		EXECUTE format('CREATE TRIGGER soft_delete BEFORE DELETE ON soft.%I FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(%L)',
					   split_part(name, ':', 1), coalesce(nullif(split_part(name, ':', 2), ''), 'deleted_at'));
	END LOOP;
END
$$;

-- Both schemas, empty.
CREATE PROCEDURE compare.start_over()
LANGUAGE plpgsql SET client_min_messages = warning AS $$
BEGIN
	DROP SCHEMA IF EXISTS soft, twin CASCADE;
	CREATE SCHEMA soft;
	CREATE SCHEMA twin;
END
$$;
