-- What all targets use.  Inputs are text, in which lines are fields.
CREATE ROLE fuzz_user IN ROLE pg_read_server_files;
GRANT CREATE ON DATABASE postgres TO fuzz_user;
CREATE EXTENSION orm_ext;
GRANT INSERT, UPDATE, DELETE ON orm_ext.naming_template TO fuzz_user;
CREATE SCHEMA fuzz;
GRANT USAGE ON SCHEMA fuzz TO fuzz_user;

-- The fields of an input, so many; the last one is the rest, and missing ones are empty.
CREATE FUNCTION fuzz.fields(input text, n integer) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
	SELECT array_agg(coalesce(CASE WHEN i < n THEN f[i] ELSE array_to_string(f[n:], E'\n') END, '') ORDER BY i)
	FROM string_to_array(input, E'\n') AS f, generate_series(1, n) AS i
$$;

-- One of several choices: a number, or the choice itself.
CREATE FUNCTION fuzz.pick(field text, VARIADIC choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE
		WHEN field = ANY (choices) THEN field
		ELSE choices[1 + ascii(field) % cardinality(choices)] END
$$;

-- The bytes that an input stands for: Latin 1, with ~ for a zero.
CREATE FUNCTION fuzz.bytes(input text) RETURNS bytea
LANGUAGE sql IMMUTABLE
AS $$
	SELECT decode(replace(encode(convert_to(input, 'LATIN1'), 'escape'), '~', '\000'), 'escape')
$$;

CREATE FUNCTION fuzz.write_file(bytea) RETURNS void
LANGUAGE c STRICT AS '$libdir/fuzz', 'orm_fuzz_write_file';

CREATE FUNCTION fuzz.planted(input text, fault text) RETURNS boolean
LANGUAGE c STRICT AS '$libdir/fuzz', 'orm_fuzz_planted';
