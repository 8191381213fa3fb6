--
-- What the tests of naming stand on: a statement is run in schema soft, where
-- constraints and indexes get their names by the convention, and in schema
-- twin with orm_ext.naming_fill off, where plain PostgreSQL names them.
--

-- Run a statement in both schemas, for what it does there.
CREATE PROCEDURE compare.name_in_both(statement text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'soft', true);
	EXECUTE statement;
	PERFORM set_config('search_path', 'twin', true);
	PERFORM set_config('orm_ext.naming_fill', 'off', true);
	EXECUTE statement;
	PERFORM set_config('orm_ext.naming_fill', 'on', true);
END
$$;

-- The constraints and indexes of a schema but for some, and what they are; not
-- what the server keeps for a foreign key beside it.
CREATE FUNCTION compare.names(schema name, but oid[] DEFAULT '{}') RETURNS TABLE (object oid, "table" name, name name, definition text)
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	schema_oid oid := (SELECT oid FROM pg_namespace WHERE nspname = schema);
	prefix text := quote_ident(schema) || '.';
BEGIN
	RETURN QUERY
	SELECT c.oid, t.relname, c.conname, replace(pg_get_constraintdef(c.oid), prefix, '')
	FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
	WHERE t.relnamespace = schema_oid AND c.contype NOT IN ('n', 't') AND c.oid <> ALL (but)
		AND NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid)
	UNION ALL
	SELECT i.oid, t.relname, i.relname,
		CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || replace(substring(pg_get_indexdef(i.oid) FROM ' USING (.*)'), prefix, '')
	FROM pg_class AS t JOIN pg_index AS x ON x.indrelid = t.oid JOIN pg_class AS i ON i.oid = x.indexrelid
	WHERE t.relnamespace = schema_oid AND i.oid <> ALL (but)
		AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u', 'x'));
END
$$;

-- Run a statement in one schema, which it may call here, and role; its error, if
-- any.  Where caches are to be discarded, that is done only here, for a bearable
-- run time.
CREATE FUNCTION compare.error(schema name, statement text, who name, discard text DEFAULT '0') RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	PERFORM set_config('search_path', quote_ident(schema), true);
	PERFORM set_config('debug_discard_caches', discard, true);
	PERFORM set_config('role', who, true);
	EXECUTE regexp_replace(statement, '\mhere\M', schema, 'g');
	PERFORM set_config('role', 'none', true);
	PERFORM set_config('debug_discard_caches', '0', true);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(SQLSTATE || ' ' || message || coalesce('; detail: ' || nullif(detail, ''), '')
						  || coalesce('; hint: ' || nullif(hint, ''), ''), '\m' || schema || '\M', 'here', 'g');
END
$$;

-- What of a statement's names the audit of schema soft would object to, but for
-- names my_... that the statement gives.
CREATE FUNCTION compare.objections(old oid[]) RETURNS SETOF text
LANGUAGE sql AS $$
SELECT format('%s: %s does not conform', "table", name)
FROM orm_ext.naming_audit('soft') WHERE NOT conforms AND objid <> ALL (old) AND name !~ '^my_'
ORDER BY "table" COLLATE "C", name COLLATE "C"
$$;

-- What a statement names in schema soft, with plain PostgreSQL's name where that
-- is another one, and the audit's objections; or its error.  Nothing of it stays.
CREATE FUNCTION compare.naming_of(statement text, who name DEFAULT 'none', discard text DEFAULT '0') RETURNS SETOF text
LANGUAGE plpgsql SET client_min_messages = warning SET debug_discard_caches = 0 AS $$
DECLARE
	old oid[] := ARRAY(SELECT oid FROM pg_class WHERE relkind IN ('i', 'I') UNION ALL SELECT oid FROM pg_constraint);
	soft text;
	twin text;
	lines text[] := '{}';
BEGIN
	PERFORM set_config('orm_ext.naming_fill', 'on', true);
	soft := compare.error('soft', statement, who, discard);
	PERFORM set_config('orm_ext.naming_fill', 'off', true);
	twin := compare.error('twin', statement, who);
	IF soft IS DISTINCT FROM twin THEN
		lines := ARRAY['DIFFERENT: ' || coalesce(soft, 'no error') || ', plain: ' || coalesce(twin, 'no error')];
	ELSIF soft IS NOT NULL THEN
		lines := ARRAY[soft];
	END IF;
	IF soft IS NULL THEN
		lines := lines || ARRAY(
			SELECT format('%s: %s %s', "table", coalesce(s.name, 'NONE'), definition)
				|| CASE t.name WHEN s.name THEN '' ELSE ', plain: ' || coalesce(t.name, 'none') END
			FROM (SELECT *, row_number() OVER (PARTITION BY "table", definition ORDER BY object) AS nth FROM compare.names('soft', old)) AS s
				FULL JOIN (SELECT *, row_number() OVER (PARTITION BY "table", definition ORDER BY object) AS nth FROM compare.names('twin', old)) AS t
				USING ("table", definition, nth)
			ORDER BY "table" COLLATE "C", definition COLLATE "C", nth);
		lines := CASE lines WHEN '{}' THEN '{nothing}' ELSE lines END || ARRAY(SELECT compare.objections(old));
	END IF;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN QUERY SELECT unnest(lines);
END
$$;

-- The same, and note the statement, so that it can be asked for once more.
CREATE TABLE compare.asked (n int GENERATED ALWAYS AS IDENTITY, statement text, who name);
CREATE FUNCTION compare.naming(statement text, who name DEFAULT 'none') RETURNS SETOF text
LANGUAGE sql AS $$
INSERT INTO compare.asked (statement, who) VALUES (statement, who);
SELECT compare.naming_of(statement, who, current_setting('debug_discard_caches'));
$$;

-- Where the statements noted do not name things as plain PostgreSQL does.
CREATE FUNCTION compare.differences() RETURNS TABLE (statement text, line text)
LANGUAGE sql AS $$
SELECT regexp_replace(a.statement, '\s+', ' ', 'g'), line
FROM compare.asked AS a, compare.naming_of(a.statement, a.who) AS line
WHERE line ~ ', plain: '
ORDER BY a.n
$$;

-- What the audit objects to in what the statements noted make.
CREATE FUNCTION compare.all_objections() RETURNS TABLE (statement text, line text)
LANGUAGE plpgsql SET client_min_messages = warning SET debug_discard_caches = 0 AS $$
DECLARE
	old oid[] := ARRAY(SELECT oid FROM pg_class WHERE relkind IN ('i', 'I') UNION ALL SELECT oid FROM pg_constraint);
	asked record;
	lines text[];
BEGIN
	FOR asked IN SELECT a.statement, a.who FROM compare.asked AS a ORDER BY a.n LOOP
		BEGIN
			PERFORM compare.error('soft', asked.statement, asked.who);
			lines := ARRAY(SELECT compare.objections(old));
			RAISE EXCEPTION SQLSTATE 'UNDO0';
		EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
			RETURN QUERY SELECT regexp_replace(asked.statement, '\s+', ' ', 'g'), unnest(lines);
		END;
	END LOOP;
END
$$;
GRANT USAGE ON SCHEMA compare TO PUBLIC;
