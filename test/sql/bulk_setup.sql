--
-- What the tests of bulk upsert stand on: the same input through every door in
-- schema soft, and row by row through plain SQL in schema twin.
--

-- The columns of a table that can be written, in its order.
CREATE FUNCTION compare.writable_columns(target regclass) RETURNS SETOF name
LANGUAGE sql STABLE AS $$
SELECT attname FROM pg_attribute
WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
$$;

-- Rows as jsonb, each with its ordinal.
CREATE FUNCTION compare.input_rows(input jsonb) RETURNS TABLE (ordinal bigint, given jsonb)
LANGUAGE sql IMMUTABLE AS $$
SELECT o, x FROM jsonb_array_elements(CASE jsonb_typeof(input) WHEN 'array' THEN input ELSE jsonb_build_array(input) END)
	WITH ORDINALITY AS e (x, o)
$$;

-- The columns that every row of an input gives, in the order of the table; null
-- where its rows differ in that.
CREATE FUNCTION compare.columns_of(target regclass, input jsonb) RETURNS name[]
LANGUAGE sql STABLE AS $$
SELECT CASE WHEN count(DISTINCT keys) = 1 AND bool_and(known) THEN
		(SELECT array_agg(c) FROM compare.writable_columns(target) AS c WHERE c = ANY (min(keys))) END
FROM (SELECT array_agg(key::name ORDER BY key), bool_and(key IN (SELECT compare.writable_columns(target)))
	  FROM compare.input_rows(input), jsonb_object_keys(given) AS key GROUP BY ordinal) AS k (keys, known)
$$;

-- How two rows have the same key: as the columns of the conflict, else of the
-- primary key, are equal.
CREATE FUNCTION compare.same_key(target regclass, options jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT coalesce(
	(SELECT string_agg(format('t.%1$I = r.%1$I', c), ' AND ') FROM jsonb_array_elements_text(options -> 'conflict') AS c),
	(SELECT string_agg(format('t.%1$I = r.%1$I', attname), ' AND ')
	 FROM pg_constraint, pg_attribute WHERE conrelid = target AND contype = 'p' AND attrelid = target AND attnum = ANY (conkey)))
$$;

-- The columns of the key: those that the conflict names, or that the index has
-- which it names, or the primary key; columns in expressions are not among them.
CREATE FUNCTION compare.key_columns(target regclass, options jsonb) RETURNS name[]
LANGUAGE sql STABLE AS $$
WITH of_conflict AS (
	SELECT attname FROM pg_attribute WHERE attrelid = target AND attnum > 0 AND options -> 'conflict' ? attname::text
)
SELECT CASE WHEN EXISTS (SELECT FROM of_conflict) THEN ARRAY(SELECT attname FROM of_conflict)
	ELSE ARRAY(SELECT attname FROM pg_index, pg_attribute
			   WHERE indrelid = target AND CASE WHEN options ? 'conflict' THEN indexrelid::regclass::text = options -> 'conflict' ->> 0 ELSE indisprimary END
				AND attrelid = target AND attnum = ANY (indkey::int2[])) END
$$;

-- Whether an existing row takes over a column that is given.
CREATE FUNCTION compare.is_updated("column" text, key_columns name[], options jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
SELECT "column" <> ALL (key_columns)
	AND CASE WHEN options ? 'update_columns' THEN options -> 'update_columns' ? "column" ELSE "column" NOT LIKE 'created\_%' END
$$;

-- Whether a condition looks at a column.
CREATE FUNCTION compare.takes(same text, "column" name) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
SELECT same ~ ('\m[rt]\."?' || regexp_replace("column", '(\W)', '\\\1', 'g') || '"?(?!\w)')
$$;

-- One row as a FROM item "r": the columns that it gives, and those of the key.
CREATE FUNCTION compare.given_row(target regclass, given text, columns text[], same text) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT format('jsonb_to_record(%s) AS r (%s)', given,
			  string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum))
FROM pg_attribute
WHERE attrelid = target AND attnum > 0 AND NOT attisdropped
	AND (attname = ANY (columns) OR compare.takes(same, attname))
$$;

-- What plain SQL does, row by row: look for a row with the key, then INSERT or
-- UPDATE what is given.  A line for each row: its ordinal, what became of it,
-- and the row of the table.
CREATE FUNCTION compare.row_by_row(target regclass, input jsonb, options jsonb, same text) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	given jsonb[] := ARRAY(SELECT i.given FROM compare.input_rows(input) AS i ORDER BY i.ordinal);
	actions text[] := array_fill(NULL::text, ARRAY[cardinality(given)]);
	results text[] := array_fill(NULL::text, ARRAY[cardinality(given)]);
	winners int[] := array_fill(NULL::int, ARRAY[cardinality(given)]);
	version name := options ->> 'version_column';
	key_columns name[];
	columns text[];
	set_columns text[];
	source text;
	place record;
	is_same boolean;
	result text;
	action text;
	n int;
BEGIN
	key_columns := compare.key_columns(target, options);
	-- duplicates: the later ones are as an UPDATE of what the first one makes, unless they do nothing
	FOR i IN 1 .. cardinality(given) LOOP
		FOR j IN 1 .. i - 1 LOOP
			CONTINUE WHEN actions[j] IS NOT NULL;
			EXECUTE format('SELECT %s FROM %s, %s', same,
						   replace(compare.given_row(target, '$1', '{}', same), ' AS r ', ' AS t '),
						   compare.given_row(target, '$2', '{}', same))
				INTO is_same USING given[j], given[i];
			CONTINUE WHEN is_same IS NOT TRUE;
			IF options ->> 'on_duplicate' = 'error' THEN
				RAISE EXCEPTION cardinality_violation USING MESSAGE = 'duplicates';
			ELSIF options ->> 'on_duplicate' = 'first' OR options ->> 'on_conflict' = 'nothing' THEN
				actions[i] := 'duplicate';
				winners[i] := j;
			ELSE
				actions[j] := 'duplicate';
				winners := array_replace(winners, j, i);
				winners[j] := i;
				given[i] := given[j] || coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(given[i])
												  WHERE key = version OR compare.is_updated(key, key_columns, options)), '{}');
			END IF;
		END LOOP;
	END LOOP;
	-- writes
	FOR i IN 1 .. cardinality(given) LOOP
		IF actions[i] IS NULL THEN
			columns := ARRAY(SELECT jsonb_object_keys(given[i]));
			source := compare.given_row(target, '$1', columns, same);
			set_columns := ARRAY(SELECT c FROM unnest(columns) AS c WHERE c IS DISTINCT FROM version AND compare.is_updated(c, key_columns, options));
			EXECUTE format('SELECT t.tableoid, t.ctid, %s AS stale, %s AS changed, (t.*)::text AS result FROM %s AS t, %s WHERE %s',
						   CASE WHEN version = ANY (columns) THEN format('r.%1$I IS NOT NULL AND r.%1$I <> t.%1$I', version) ELSE 'false' END,
						   CASE WHEN set_columns = '{}' THEN 'false'
							ELSE (SELECT format('ROW(%s)::record *<> ROW(%s)::record', string_agg(format('t.%I', c), ', '), string_agg(format('r.%I', c), ', '))
								  FROM unnest(set_columns) AS c) END,
						   target, source, same)
				INTO place USING given[i];
			GET DIAGNOSTICS n = ROW_COUNT;
			IF n = 0 THEN
				actions[i] := 'inserted';
				IF columns = '{}' THEN
					EXECUTE format('INSERT INTO %s AS t DEFAULT VALUES RETURNING (t.*)::text', target) INTO result;
				ELSE
					EXECUTE format('INSERT INTO %s AS t (%s) SELECT %s FROM %s RETURNING (t.*)::text', target,
								   (SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) AS c),
								   (SELECT string_agg('r.' || quote_ident(c), ', ') FROM unnest(columns) AS c), source)
						INTO result USING given[i];
				END IF;
			ELSIF options ->> 'on_conflict' = 'nothing' THEN
				actions[i] := 'skipped';
				result := place.result;
			ELSIF place.stale THEN
				actions[i] := 'stale';
				result := place.result;
			ELSIF NOT place.changed THEN
				actions[i] := 'unchanged';
				result := place.result;
			ELSE
				actions[i] := 'updated';
				EXECUTE format('UPDATE %s AS t SET %s FROM %s WHERE t.tableoid = $2 AND t.ctid = $3 RETURNING (t.*)::text', target,
							   (SELECT string_agg(format('%1$I = r.%1$I', c), ', ') FROM unnest(set_columns) AS c)
								|| CASE WHEN version IS NULL THEN '' ELSE format(', %1$I = t.%1$I + 1', version) END, source)
					INTO result USING given[i], place.tableoid, place.ctid;
			END IF;
		END IF;
		results[i] := result;
	END LOOP;
	RETURN ARRAY(SELECT concat_ws(' ', i, actions[i], results[coalesce(winners[i], i)]) FROM generate_series(1, cardinality(given)) AS i ORDER BY i);
END
$$;

-- How many rows met with what, from such lines.
CREATE FUNCTION compare.counts(lines text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT coalesce(string_agg(n || ' ' || action, ', ' ORDER BY array_position('{inserted,updated,revived,unchanged,skipped,stale,duplicate}', action)), 'nothing')
FROM (SELECT split_part(line, ' ', 2), count(*) FROM unnest(lines) AS line GROUP BY 1) AS a (action, n)
$$;

-- The same from this session's last bulk upsert, which has to add up.
CREATE FUNCTION compare.last_counts(target regclass) RETURNS text
LANGUAGE sql AS $$
SELECT CASE
	WHEN l.target <> $1 THEN 'another target'
	WHEN input <> inserted + updated + unchanged + skipped OR revived > updated OR stale + duplicates > skipped THEN 'wrong sums: ' || l
	ELSE (SELECT coalesce(string_agg(n || ' ' || action, ', ' ORDER BY o), 'nothing')
		  FROM (VALUES (1, inserted, 'inserted'), (2, updated - revived, 'updated'), (3, revived, 'revived'), (4, unchanged, 'unchanged'),
					   (5, skipped - stale - duplicates, 'skipped'), (6, stale, 'stale'), (7, duplicates, 'duplicate')) AS c (o, n, action)
		  WHERE n <> 0) END
FROM orm_ext.last_bulk_result() AS l
$$;

-- Options as arguments of a function, or of COPY.
CREATE FUNCTION compare.arguments(options jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT coalesce(string_agg(format(', %I => %L', key, CASE jsonb_typeof(value) WHEN 'array'
		THEN ARRAY(SELECT jsonb_array_elements_text(value))::text ELSE value #>> '{}' END), ''), '')
FROM jsonb_each(options)
$$;

CREATE FUNCTION compare.copy_options(options jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT coalesce(string_agg(CASE jsonb_typeof(value)
		WHEN 'array' THEN format(', %I (%s)', replace(key, 'conflict', 'conflict_columns'), (SELECT string_agg(quote_ident(e), ', ') FROM jsonb_array_elements_text(value) AS e))
		ELSE format(', %I %L', key, value #>> '{}') END, ''), ', on_conflict ''update''')
FROM jsonb_each(options)
$$;

-- An input through one door, in the same form as row_by_row() or counts() give;
-- null where the door cannot take it: COPY where rows differ in their columns,
-- arrays where they do not give every column.
CREATE FUNCTION compare.through(door text, target regclass, input jsonb, options jsonb, who name) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	statement text;
	columns name[] := compare.columns_of(target, input);
	rows_as_array text := format('(SELECT array_agg(jsonb_populate_record(NULL::%s, given) ORDER BY ordinal) FROM compare.input_rows($1))', target);
	file text := current_setting('compare.file');
	discard text := (SELECT reset_val FROM pg_settings WHERE name = 'debug_discard_caches');
	result text[];
	n bigint;
	answer record;
BEGIN
	IF door ~ 'array' AND columns IS DISTINCT FROM ARRAY(SELECT compare.writable_columns(target)) OR door IN ('text', 'csv', 'binary') AND columns IS NULL THEN
		RETURN NULL;
	ELSIF door = 'json' THEN
		statement := format('SELECT * FROM orm_ext.bulk_upsert(%L::regclass, $1%s)', target, compare.arguments(options));
	ELSIF door = 'array' THEN
		statement := format('SELECT * FROM orm_ext.bulk_upsert(%s%s)', rows_as_array, compare.arguments(options));
	ELSIF door = 'json returning' THEN
		statement := format('SELECT array_agg(concat_ws('' '', ordinal, action, result::text)) AS lines FROM orm_ext.bulk_upsert_returning(NULL::%s, $1%s)', target, compare.arguments(options));
	ELSIF door = 'array returning' THEN
		statement := format('SELECT array_agg(concat_ws('' '', ordinal, action, result::text)) AS lines FROM orm_ext.bulk_upsert_returning(%s%s)', rows_as_array, compare.arguments(options));
	ELSE
		EXECUTE format('COPY (SELECT %s FROM compare.input_rows(%L), LATERAL %s ORDER BY ordinal) TO %L WITH (FORMAT %s)',
					   (SELECT string_agg('r.' || quote_ident(c), ', ') FROM unnest(columns) AS c),
					   input, compare.given_row(target, 'given', columns::text[], ''), file, door);
		statement := format('COPY %s (%s) FROM %L WITH (FORMAT %s%s)', target,
							(SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) AS c), file, door, compare.copy_options(options));
	END IF;
	PERFORM set_config('debug_discard_caches', discard, true);
	PERFORM set_config('role', who, true);
	IF door IN ('text', 'csv', 'binary') THEN
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
	ELSE
		EXECUTE statement INTO answer USING input;
	END IF;
	PERFORM set_config('role', 'none', true);
	PERFORM set_config('debug_discard_caches', '0', true);
	result := ARRAY[compare.last_counts(target)];
	IF door IN ('json', 'array') THEN
		IF (SELECT (answer.inserted, answer.updated, answer.unchanged, answer.skipped) <> (l.inserted, l.updated, l.unchanged, l.skipped)
			FROM orm_ext.last_bulk_result() AS l) THEN
			result := result || answer::text;
		END IF;
	ELSIF door ~ 'returning' THEN
		result := coalesce(answer.lines, '{}');
		IF compare.counts(result) <> compare.last_counts(target) THEN
			result := result || ('but counted ' || compare.last_counts(target));
		END IF;
	ELSIF n <> (SELECT l.input FROM orm_ext.last_bulk_result() AS l) THEN
		result := result || ('COPY ' || n);
	END IF;
	RETURN result;
END
$$;

-- What is in the tables of a schema, and where its sequences stand.
CREATE FUNCTION compare.contents_and_sequences(schema name) RETURNS text[]
LANGUAGE sql AS $$
SELECT compare.contents(schema)
	|| ARRAY(SELECT sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = schema ORDER BY sequencename)
$$;

-- Where the sequences of both schemas stand, and back to there: no abort does that.
CREATE FUNCTION compare.sequences() RETURNS jsonb
LANGUAGE sql AS $$
SELECT coalesce(jsonb_object_agg(format('%I.%I', schemaname, sequencename), jsonb_build_object('last', last_value, 'start', start_value)), '{}')
FROM pg_sequences WHERE schemaname IN ('soft', 'twin')
$$;

CREATE FUNCTION compare.set_sequences(state jsonb) RETURNS void
LANGUAGE sql AS $$
SELECT count(setval(key::regclass, coalesce((value ->> 'last')::bigint, (value ->> 'start')::bigint), value ->> 'last' IS NOT NULL))
FROM jsonb_each(state)
$$;

-- A trigger that does nothing; where it is fired for a statement, the engine has
-- to write by one.
CREATE FUNCTION compare.look_on() RETURNS trigger
LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';

-- One way to do it, then undone: what it answers, a mark, and what is there after it.
CREATE FUNCTION compare.one_way(door text, target text, input jsonb, options jsonb, same text, who name) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	schema name := CASE door WHEN 'row by row' THEN 'twin' ELSE 'soft' END;
	sequences jsonb := compare.sequences();
	result text[];
	state text; message text; detail text; context text;
BEGIN
	PERFORM set_config('search_path', schema, true);
	BEGIN
		IF door = 'row by row' THEN
			PERFORM set_config('role', who, true);
			result := compare.row_by_row(target::regclass, input, options, coalesce(same, compare.same_key(target::regclass, options)));
			PERFORM set_config('role', 'none', true);
		ELSE
			IF door ~ ' by statement' THEN
				EXECUTE format('CREATE TRIGGER looks_on AFTER INSERT OR UPDATE ON %s EXECUTE FUNCTION compare.look_on()', target);
			END IF;
			result := compare.through(replace(door, ' by statement', ''), target::regclass, input, options, who);
		END IF;
		SET CONSTRAINTS ALL IMMEDIATE;
		result := result || '--'::text || compare.contents_and_sequences(schema);
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN
			NULL;
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT;
			result := ARRAY['error', state || ' ' || message, substring(context FROM '(?n)^(row \d+.*|COPY.*)$')];
	END;
	PERFORM compare.set_sequences(sequences);
	RETURN result;
END
$$;

-- How an answer differs from the one that is wanted, if it does.
CREATE FUNCTION compare.difference(door text, answer text[], expected text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	lines text[] := expected[:array_position(expected, '--') - 1];
	wanted text[] := CASE WHEN door ~ 'returning' THEN expected ELSE compare.counts(lines) || expected[cardinality(lines) + 1:] END;
BEGIN
	IF expected[1] = 'error' THEN
		wanted := expected[:2];
		answer := answer[:2];
	END IF;
	IF answer = wanted THEN
		RETURN '';
	END IF;
	RETURN format(E'\nDIFFERENT through %s: %s, row by row: %s', door,
				  left(array_to_string(CASE answer[1] WHEN 'error' THEN answer ELSE ARRAY(SELECT unnest(answer) EXCEPT ALL SELECT unnest(wanted)) END, ' '), 300),
				  left(array_to_string(CASE answer[1] WHEN 'error' THEN wanted ELSE ARRAY(SELECT unnest(wanted) EXCEPT ALL SELECT unnest(answer)) END, ' '), 300));
END
$$;

-- An input through every door against row by row: what became of the rows, and
-- through how many doors all of it, the answer, the tables and the sequences, is
-- the same.  Of an error the context is told as well.  All this in savepoints.
CREATE FUNCTION compare.bulk_nested(target text, input jsonb, options jsonb DEFAULT '{}', same text DEFAULT NULL, who name DEFAULT 'none') RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	expected text[] := compare.one_way('row by row', target, input, options, same, who);
	answer text[];
	door text;
	doors int := 0;
	contexts text[] := '{}';
	different text := '';
BEGIN
	FOREACH door IN ARRAY '{json,json returning,array,array returning,text,csv,binary,json returning by statement}'::text[] LOOP
		answer := compare.one_way(door, target, input, options, same, who);
		CONTINUE WHEN answer[1] = '--';
		doors := doors + (door !~ ' by statement')::int;
		contexts := contexts || CASE answer[1] WHEN 'error' THEN answer[3] END;
		different := different || compare.difference(door, answer, expected);
	END LOOP;
	PERFORM set_config('search_path', path, true);
	RETURN CASE WHEN expected[1] = 'error' THEN expected[2] ELSE compare.counts(expected[:array_position(expected, '--') - 1]) END
		|| CASE WHEN different = '' THEN '; same through ' || doors || ' doors' ELSE different END
		|| CASE WHEN expected[1] = 'error' THEN coalesce((SELECT string_agg(DISTINCT E'\n  ' || c, '') FROM unnest(contexts) AS c), '') ELSE '' END;
END
$$;

-- The same without savepoints: the engine writes plain tables without a statement
-- there, others by one, so one door is used once more with a trigger that makes it
-- take the other way.  What fails is left to bulk_nested().
CREATE PROCEDURE compare.bulk(target text, input jsonb, options jsonb DEFAULT '{}', same text DEFAULT NULL, who name DEFAULT 'none', INOUT result text DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	sequences jsonb;
	expected text[];
	answer text[];
	door text;
	doors int := 0;
	different text := '';
BEGIN
	PERFORM set_config('debug_discard_caches', '0', true);
	sequences := compare.sequences();
	expected := compare.one_way('row by row', target, input, options, same, who);
	IF expected[1] = 'error' THEN
		result := compare.bulk_nested(target, input, options, same, who);
		RETURN;
	END IF;
	FOREACH door IN ARRAY '{json,json returning,array,array returning,text,csv,binary}'::text[] LOOP
		PERFORM set_config('debug_discard_caches', '0', true), set_config('search_path', 'soft', true);
		answer := compare.through(door, target::regclass, input, options, who);
		IF answer IS NOT NULL THEN
			SET CONSTRAINTS ALL IMMEDIATE;
			doors := doors + 1;
			different := different || compare.difference(door, answer || '--'::text || compare.contents_and_sequences('soft'), expected);
		END IF;
		ROLLBACK;
		PERFORM compare.set_sequences(sequences);
	END LOOP;
	door := 'json returning by statement';
	different := different || compare.difference(door, compare.one_way(door, target, input, options, same, who), expected);
	ROLLBACK;
	result := compare.counts(expected[:array_position(expected, '--') - 1])
		|| CASE WHEN different = '' THEN '; same through ' || doors || ' doors, both ways' ELSE different END;
END
$$;

-- Two statements, one in each schema, as a role: what they answer, and whether
-- tables and sequences are the same after them.
CREATE FUNCTION compare.after(soft text, twin text, who name DEFAULT 'none') RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	sequences jsonb := compare.sequences();
	result text;
BEGIN
	result := array_to_string(compare.answer('soft', soft, who), '; ')
		|| ' | ' || array_to_string(compare.answer('twin', twin, who), '; ');
	result := result || '; ' || compare.verdict(compare.contents_and_sequences('soft') || ARRAY['tables'],
												 compare.contents_and_sequences('twin') || ARRAY['tables']);
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	PERFORM compare.set_sequences(sequences);
	PERFORM set_config('search_path', path, true);
	RETURN result;
END
$$;

-- How a statement fails: everything that a client is told but the place in our own code.
CREATE FUNCTION compare.failure(statement text, who name DEFAULT 'none') RETURNS SETOF text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	path text := current_setting('search_path');
	state text; message text; detail text; hint text; context text;
	schema_name text; table_name text; column_name text; constraint_name text;
	n bigint;
BEGIN
	PERFORM set_config('role', who, true);
	BEGIN
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN
			RETURN NEXT 'no failure, ' || n || ' rows';
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
				detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT,
				schema_name = SCHEMA_NAME, table_name = TABLE_NAME, column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
			RETURN NEXT state || ' ' || message;
			RETURN QUERY SELECT '  ' || line
				FROM unnest(ARRAY['detail: ' || detail, 'hint: ' || hint,
								  'fields: ' || concat_ws(', ', nullif(schema_name, ''), nullif(table_name, ''), nullif(column_name, ''), nullif(constraint_name, ''))]
							|| ARRAY(SELECT 'context: ' || c FROM regexp_split_to_table(context, E'\n') AS c
									 WHERE c !~ '^(SQL statement|PL/pgSQL function compare|SQL function "failure")')) AS line
				WHERE line !~ ': $';
	END;
	PERFORM set_config('role', 'none', true);
	PERFORM set_config('search_path', path, true);
END
$$;
