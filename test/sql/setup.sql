--
-- What the other tests stand on: the extension, the library in every session
-- to come, and a way to compare with plain PostgreSQL.
--
CREATE EXTENSION orm_ext;

DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''orm_ext''',
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

-- Everything that can be seen in the tables of a schema.
CREATE FUNCTION compare.contents(schema name) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
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
		EXECUTE format('SELECT array_agg(t::text ORDER BY t::text) FROM %I.%I AS t', schema, name)
			INTO lines;
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
