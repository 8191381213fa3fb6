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

-- The constraints and indexes of a schema, and what they are, but for what the
-- server keeps for a foreign key beside it.
CREATE FUNCTION compare.names(schema name) RETURNS TABLE (object oid, "table" name, name name, definition text)
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	schema_oid oid := (SELECT oid FROM pg_namespace WHERE nspname = schema);
	prefix text := quote_ident(schema) || '.';
BEGIN
	RETURN QUERY
	SELECT c.oid, t.relname, c.conname, replace(pg_get_constraintdef(c.oid), prefix, '')
	FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
	WHERE t.relnamespace = schema_oid AND c.contype NOT IN ('n', 't')
		AND NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid)
	UNION ALL
	SELECT i.oid, t.relname, i.relname,
		CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || replace(substring(pg_get_indexdef(i.oid) FROM ' USING (.*)'), prefix, '')
	FROM pg_class AS t JOIN pg_index AS x ON x.indrelid = t.oid JOIN pg_class AS i ON i.oid = x.indexrelid
	WHERE t.relnamespace = schema_oid
		AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u', 'x'));
END
$$;

-- Run a statement in one schema, which it may call here, and role; its error, if
-- any.  Only this may discard caches, where the server is set to do so, for a
-- bearable run time.
CREATE FUNCTION compare.error(schema name, statement text, who name, discard boolean) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	PERFORM set_config('search_path', quote_ident(schema), true);
	IF discard THEN
		PERFORM set_config(name, reset_val, true) FROM pg_settings WHERE name = 'debug_discard_caches';
	END IF;
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

-- What a statement names in schema soft, with plain PostgreSQL's name where that
-- is another one, and what of it the audit would object to, but for names my_...
-- that the statement gives; or its error.  Nothing of it stays.
CREATE FUNCTION compare.naming_of(statement text, who name, discard boolean) RETURNS SETOF text
LANGUAGE plpgsql SET client_min_messages = warning SET debug_discard_caches = 0 AS $$
DECLARE
	old oid[] := ARRAY(SELECT object FROM compare.names('soft') UNION ALL SELECT object FROM compare.names('twin'));
	soft text;
	twin text;
	lines text[];
BEGIN
	PERFORM set_config('orm_ext.naming_fill', 'on', true);
	soft := compare.error('soft', statement, who, discard);
	PERFORM set_config('orm_ext.naming_fill', 'off', true);
	twin := compare.error('twin', statement, who, false);
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
			FROM orm_ext.naming_audit('soft') WHERE NOT conforms AND objid <> ALL (old) AND name !~ '^my_'
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
SELECT compare.naming_of(statement, who, true);
$$;

-- Ask once more, under another convention: lines of interest.
CREATE FUNCTION compare.again(interest text) RETURNS TABLE (statement text, line text)
LANGUAGE sql AS $$
SELECT regexp_replace(a.statement, '\s+', ' ', 'g'), line
FROM compare.asked AS a, compare.naming_of(a.statement, a.who, false) AS line
WHERE line ~ interest
ORDER BY a.n
$$;

-- Whatever is not as in plain PostgreSQL.
CREATE FUNCTION compare.differences() RETURNS TABLE (statement text, line text)
LANGUAGE sql AS $$
SELECT * FROM compare.again(', plain: |MISSING|PLAIN HAS NONE')
$$;
