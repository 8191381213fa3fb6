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

-- The constraints and indexes of a schema, and what they are, but for what
-- the server keeps for a foreign key beside it.
CREATE FUNCTION compare.names(schema name) RETURNS TABLE (object oid, "table" name, name name, definition text)
LANGUAGE sql AS $$
SELECT c.oid, t.relname, c.conname, replace(pg_get_constraintdef(c.oid), quote_ident(schema) || '.', '')
FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
WHERE n.nspname = schema AND c.contype NOT IN ('n', 't')
	AND NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid)
UNION ALL
SELECT i.oid, t.relname, i.relname, CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END
	|| 'INDEX ' || replace(substring(pg_get_indexdef(i.oid) FROM ' USING (.*)'), quote_ident(schema) || '.', '')
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
	JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
WHERE n.nspname = schema
	AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u', 'x'))
$$;

-- Run a statement in one schema, which it may call here, and role; its error, if any.
CREATE FUNCTION compare.error(schema name, statement text, who name) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	message text; detail text; hint text;
BEGIN
	PERFORM set_config('search_path', quote_ident(schema), true);
	PERFORM set_config('role', who, true);
	EXECUTE replace(statement, 'here.', quote_ident(schema) || '.');
	PERFORM set_config('role', 'none', true);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN replace(SQLSTATE || ' ' || message || coalesce('; detail: ' || nullif(detail, ''), '')
				   || coalesce('; hint: ' || nullif(hint, ''), ''), quote_ident(schema) || '.', '');
END
$$;

-- What a statement names in schema soft, with plain PostgreSQL's name where that
-- is another one, and what of it the audit would object to; or its error.
-- Nothing of it stays.
CREATE FUNCTION compare.naming_of(statement text, who name DEFAULT 'none') RETURNS SETOF text
LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
	old oid[] := ARRAY(SELECT object FROM compare.names('soft') UNION ALL SELECT object FROM compare.names('twin'));
	soft text;
	twin text;
	lines text[];
BEGIN
	PERFORM set_config('orm_ext.naming_fill', 'on', true);
	soft := compare.error('soft', statement, who);
	PERFORM set_config('orm_ext.naming_fill', 'off', true);
	twin := compare.error('twin', statement, who);
	IF soft IS DISTINCT FROM twin THEN
		lines := ARRAY['DIFFERENT: ' || coalesce(soft, 'no error') || ', plain: ' || coalesce(twin, 'no error')];
	ELSIF soft IS NOT NULL THEN
		lines := ARRAY[soft];
	ELSE
		lines := ARRAY(
			SELECT format('%s: %s %s', "table", coalesce(s.name, 'MISSING'), definition)
				|| CASE WHEN t.name IS NULL THEN ', PLAIN HAS NONE' WHEN t.name = s.name THEN '' ELSE ', plain: ' || t.name END
			FROM (SELECT *, row_number() OVER (PARTITION BY "table", definition ORDER BY object) AS nth
				  FROM compare.names('soft') WHERE object <> ALL (old)) AS s
				FULL JOIN (SELECT *, row_number() OVER (PARTITION BY "table", definition ORDER BY object) AS nth
						   FROM compare.names('twin') WHERE object <> ALL (old)) AS t USING ("table", definition, nth)
			ORDER BY "table" COLLATE "C", definition COLLATE "C", nth);
		IF lines = '{}' THEN
			lines := '{nothing}';
		END IF;
		lines := lines || ARRAY(
			SELECT format('%s: %s does not conform', "table", name)
			FROM orm_ext.naming_audit('soft') WHERE NOT conforms AND objid <> ALL (old)
			ORDER BY "table" COLLATE "C", name COLLATE "C");
	END IF;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN QUERY SELECT unnest(lines);
END
$$;

-- The same, and note the statement for compare.again().
CREATE TABLE compare.asked (n int GENERATED ALWAYS AS IDENTITY, statement text, who name);
CREATE FUNCTION compare.naming(statement text, who name DEFAULT 'none') RETURNS SETOF text
LANGUAGE sql AS $$
INSERT INTO compare.asked (statement, who) VALUES (statement, who);
SELECT compare.naming_of(statement, who);
$$;

-- Ask once more, under another convention: where its names are not those of
-- plain PostgreSQL.
CREATE FUNCTION compare.again() RETURNS TABLE (statement text, line text)
LANGUAGE sql AS $$
SELECT regexp_replace(a.statement, '\s+', ' ', 'g'), line
FROM compare.asked AS a, compare.naming_of(a.statement, a.who) AS line
WHERE line ~ ', plain: |[A-Z]{4}: |MISSING|PLAIN HAS NONE|does not conform'
ORDER BY a.n
$$;
GRANT USAGE ON SCHEMA compare TO PUBLIC;
