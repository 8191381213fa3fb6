--
-- What the other tests stand on: the extension, the library in every session
-- to come, and a way to compare with plain PostgreSQL.
--
CREATE EXTENSION orm_ext;

DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''orm_ext''',
				   current_database());
	-- names are what the tests of naming are about, and nobody else
	EXECUTE format('ALTER DATABASE %I SET orm_ext.naming_check = off',
				   current_database());
END
$$;

--
-- Twins.  A test creates schemas soft and twin with the same tables and rows.
-- Those in soft are under soft delete, those in twin are not, and rows that
-- are deleted in soft are really gone in twin.  Whatever is run on both must
-- answer the same.
--
CREATE SCHEMA compare;

-- Run a statement in both schemas, for what it does there.
CREATE PROCEDURE compare.in_both(statement text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'soft', true);
	EXECUTE statement;
	PERFORM set_config('search_path', 'twin', true);
	EXECUTE statement;
END
$$;

-- Run a statement in one schema and role: its rows, or how many it changed, or
-- its error.  Only here caches are discarded where the server is set to do so,
-- for a bearable run time.
CREATE FUNCTION compare.answer(schema name, statement text, who name) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	discard text := (SELECT reset_val FROM pg_settings WHERE name = 'debug_discard_caches');
	lines text[] := '{}';
	line record;
	n bigint;
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
	RETURN ARRAY[SQLSTATE || ' ' || SQLERRM];
END
$$;

-- The last line where two answers are the same, else where they differ.
CREATE FUNCTION compare.verdict(soft text[], twin text[]) RETURNS text
LANGUAGE sql AS $$
SELECT CASE WHEN soft = twin THEN 'same, ' || soft[cardinality(soft)]
	ELSE 'DIFFERENT, soft: ' || ARRAY(SELECT unnest(soft) EXCEPT ALL SELECT unnest(twin))::text
		|| ', twin: ' || ARRAY(SELECT unnest(twin) EXCEPT ALL SELECT unnest(soft))::text END
$$;

-- Compare what a query returns.
CREATE FUNCTION compare.rows(query text) RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	result text := compare.verdict(compare.answer('soft', query, 'none'),
								   compare.answer('twin', query, 'none'));
BEGIN
	PERFORM set_config('search_path', path, true);
	RETURN result;
END
$$;

-- Everything that can be seen in the tables of a schema, but for the columns
-- that compare.left_out lists.
CREATE FUNCTION compare.contents(schema name) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	left_out text[] := string_to_array(nullif(current_setting('compare.left_out', true), ''), ' ');
	name name;
	lines text[];
	result text[] := '{}';
BEGIN
	FOR name IN
		SELECT c.relname FROM pg_class AS c
		WHERE c.relnamespace = schema::text::regnamespace
			AND c.relkind IN ('r', 'p')
		ORDER BY c.relname
	LOOP
		EXECUTE format('SELECT array_agg(t ORDER BY t) FROM (SELECT %s::text FROM %I.%I AS this_row) AS r (t)',
					   CASE WHEN left_out IS NULL THEN 'this_row' ELSE '(to_jsonb(this_row) - $1)' END, schema, name)
			INTO lines USING left_out;
		result := result || (name || ':') || lines;
	END LOOP;
	RETURN result || ARRAY['tables'];
END
$$;

-- How many rows are really there in the tables of schema soft.
CREATE FUNCTION compare.rows_there() RETURNS bigint
LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' AS $$
DECLARE
	name name;
	n bigint;
	total bigint := 0;
BEGIN
	FOR name IN
		SELECT c.relname FROM pg_class AS c
		WHERE c.relnamespace = 'soft'::regnamespace AND c.relkind = 'r'
	LOOP
		EXECUTE format('SELECT count(*) FROM ONLY soft.%I', name) INTO n;
		total := total + n;
	END LOOP;
	RETURN total;
END
$$;

-- Compare what a statement answers and what is to be seen after it, tell
-- whether the rows are really there, and undo it.  Only the statement itself
-- is run as another role.
CREATE FUNCTION compare.effect(statement text, who name DEFAULT 'none') RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	before bigint := compare.rows_there();
	change bigint;
	result text;
BEGIN
	result := compare.verdict(compare.answer('soft', statement, who),
							  compare.answer('twin', statement, who))
		|| '; ' || compare.verdict(compare.contents('soft'), compare.contents('twin'));
	change := compare.rows_there() - before;
	result := result || CASE WHEN change = 0 THEN '; all rows there'
		WHEN change > 0 THEN format('; %s rows more', change)
		ELSE format('; %s rows gone for good', -change) END;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	PERFORM set_config('search_path', path, true);
	RETURN result;
END
$$;

CREATE FUNCTION compare.as_role(who name, statement text) RETURNS text
LANGUAGE sql AS 'SELECT compare.effect(statement, who)';
GRANT USAGE ON SCHEMA compare TO PUBLIC;

--
-- Stamps.  Tables in soft have them, those in twin have the same columns and no
-- trigger; SET compare.left_out names the columns that may then differ.
--

-- The rows of schema soft, each under its table and id.
CREATE FUNCTION compare.snapshot() RETURNS jsonb
LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show' SET timezone = 'UTC' AS $$
DECLARE
	name text;
	lines jsonb;
	result jsonb := '{}';
BEGIN
	FOR name IN
		SELECT CASE c.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || quote_ident(c.relname) FROM pg_class AS c
		WHERE c.relnamespace = 'soft'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	LOOP
		EXECUTE format($query$SELECT jsonb_object_agg(%L || ' ' || (r ->> 'id'), r)
					   FROM (SELECT to_jsonb(this_row) FROM %s AS this_row) AS r (r) WHERE r ? 'id'$query$,
					   replace(name, 'ONLY ', ''), regexp_replace(name, '(ONLY )?(.*)', '\1soft.\2'))
			INTO lines;
		result := result || coalesce(lines, '{}');
	END LOOP;
	RETURN result;
END
$$;

-- One column's change.  Of times near to now and of random values only what
-- can be known is told.
CREATE FUNCTION compare.change("column" text, old text, new text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	IF new IS NULL THEN
		RETURN "column" || ' null';
	ELSIF new ~ '^\d{4}-\d\d-\d\d($|T)' AND abs(extract(epoch FROM new::timestamptz - now())) < 90000 THEN
		RETURN "column" || CASE
			WHEN new ~ '[+]\d\d:\d\d$' AND new::timestamptz = now() THEN ' now'
			WHEN new !~ '[+]\d\d:\d\d$' AND new::timestamp = now()::timestamp THEN ' now'
			WHEN new !~ 'T' AND new::date = current_date THEN ' today'
			WHEN old IS NULL THEN ' set'
			WHEN new::timestamptz > old::timestamptz THEN ' later' ELSE ' earlier' END;
	ELSIF new ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' AND new !~ '^00000000' THEN
		RETURN "column" || CASE WHEN old IS NULL THEN ' set' ELSE ' another' END;
	ELSIF greatest(length(old), length(new)) > 60 THEN
		RETURN "column" || ' of length ' || coalesce(length(old) || ' -> ', '') || length(new);
	END IF;
	RETURN "column" || ' ' || coalesce(old || ' -> ', '') || new;
END
$$;

-- What a statement answers and what it changes in the tables of schema soft;
-- then undo it.
CREATE FUNCTION compare.changes(statement text, who name DEFAULT 'none') RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	old jsonb := compare.snapshot();
	new jsonb;
	result text;
BEGIN
	result := array_to_string(compare.answer('soft', statement, who), '; ');
	new := compare.snapshot();
	result := result || coalesce((
		SELECT string_agg(CASE WHEN NOT new ? key THEN '; ' || key || ' gone'
							   ELSE '; ' || key || CASE WHEN old ? key THEN ': ' ELSE ' new: ' END || coalesce(changes, 'nothing else') END,
						  '' ORDER BY regexp_replace(key, '\d+$', ''), length(key), key)
		FROM jsonb_object_keys(old || new) AS key,
			LATERAL (SELECT string_agg(compare.change(c, old -> key ->> c, new -> key ->> c), ', ' ORDER BY c)
					 FROM jsonb_object_keys(coalesce(old -> key, '{}') || coalesce(new -> key, '{}')) AS c
					 WHERE (c <> 'id' OR old ? key AND new ? key)
						AND old -> key ->> c IS DISTINCT FROM new -> key ->> c) AS d (changes)
		WHERE old -> key IS DISTINCT FROM new -> key), '; nothing');
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	PERFORM set_config('search_path', path, true);
	RETURN result;
END
$$;

-- How a statement is refused, whether the SQL of the hint can be run as it
-- stands, and whether it helps.  Nothing of it stays.
CREATE FUNCTION compare.refusal(statement text, who name DEFAULT 'none') RETURNS SETOF text
LANGUAGE plpgsql SET debug_discard_caches = 0 SET client_min_messages = warning AS $$
DECLARE
	path text := current_setting('search_path');
	state text; message text; detail text; hint text;
	schema_name text; table_name text; column_name text;
	command text;
	n bigint;
BEGIN
	PERFORM set_config('search_path', 'soft', true);
	PERFORM set_config('role', who, true);
	BEGIN
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN
			RETURN NEXT 'not refused, ' || n || ' rows';
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
				detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
				schema_name = SCHEMA_NAME, table_name = TABLE_NAME, column_name = COLUMN_NAME;
			RETURN NEXT state || ' ' || message;
			RETURN QUERY SELECT '  ' || line
				FROM unnest(ARRAY['detail: ' || detail, 'hint: ' || hint,
								  'fields: ' || concat_ws(', ', nullif(schema_name, ''), nullif(table_name, ''), nullif(column_name, ''))]) AS line
				WHERE line !~ ': $';
	END;
	command := coalesce(substring(hint FROM '[:,] (?:or |as )?((?:SELECT|ALTER|CREATE|DROP|SET|RESET|UPDATE|GRANT)\M.*;)'),
						substring(hint FROM '^((?:SELECT|ALTER|CREATE|DROP|SET|RESET|UPDATE|GRANT)\M.*;)'));
	IF command !~ '[.][.][.]' THEN
		BEGIN
			EXECUTE command;
			GET DIAGNOSTICS n = ROW_COUNT;
			BEGIN
				EXECUTE statement;
				state := ', after which the statement passes';
			EXCEPTION WHEN OTHERS THEN
				state := CASE WHEN SQLSTATE <> state AND SQLSTATE <> '42710' THEN ', after which it fails with ' || SQLSTATE ELSE '' END;
			END;
			RAISE EXCEPTION SQLSTATE 'UNDO0';
		EXCEPTION
			WHEN SQLSTATE 'UNDO0' THEN
				RETURN NEXT '  the hint can be run, ' || n || ' rows' || state;
			WHEN OTHERS THEN
				RETURN NEXT '  THE HINT FAILS: ' || SQLSTATE || ' ' || SQLERRM;
		END;
	END IF;
	PERFORM set_config('role', 'none', true);
	PERFORM set_config('search_path', path, true);
END
$$;
