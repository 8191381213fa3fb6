-- COPY that upserts: options and data in any format.
-- Fields: table, the setting orm_ext.copy_conflict_columns, options, data.
CREATE TABLE plain (id integer PRIMARY KEY, a text UNIQUE, b integer DEFAULT 7, gen integer GENERATED ALWAYS AS (b + 1) STORED);
CREATE TABLE managed (id integer PRIMARY KEY, a text, version integer DEFAULT 1, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON managed FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON managed FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
CREATE TABLE parts (id integer, a text, b integer, PRIMARY KEY (id, a)) PARTITION BY LIST (a);
CREATE TABLE part_a PARTITION OF parts FOR VALUES IN ('a', 'aa');
CREATE TABLE part_rest PARTITION OF parts DEFAULT;
INSERT INTO plain VALUES (1, 'a'), (2, 'b');
INSERT INTO managed VALUES (1, 'a'), (2, 'b');
DELETE FROM managed WHERE id = 2;
INSERT INTO parts VALUES (1, 'a', 1), (1, 'z', 2);

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 4);
	processed bigint;
	result record;
BEGIN
	PERFORM fuzz.write_file(fuzz.bytes(f[4])), set_config('orm_ext.copy_conflict_columns', f[2], true);
	EXECUTE format(E'COPY %s FROM ''fuzz.input'' %s', fuzz.pick(f[1], 'plain', 'managed', 'parts', 'plain (id, a)', 'plain (a, b)'), f[3]);
	GET DIAGNOSTICS processed = ROW_COUNT;
	SELECT * INTO result FROM orm_ext.last_bulk_result();
	ASSERT NOT FOUND OR position('on_conflict' IN f[3]) = 0
		OR result.input = result.inserted + result.updated + result.unchanged + result.skipped,
		format('counts of %s rows: %s', processed, result);
END
$$;
