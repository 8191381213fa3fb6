-- Templates of names: stored, expanded, and applied to an index.
-- Fields: kind, overflow, schema_in_label, table, constraint_name, columns (by commas), the template.
CREATE SCHEMA "a.b";
CREATE TABLE t (id integer, "Spalte Ä" integer, c63_________________________________________________________é integer);
CREATE TABLE "a.b"."Ein Name mit dreiundsechzig Bytes, davon sind ein paar Umläute" (id integer, "Spalte Ä" integer,
	c63_________________________________________________________é integer);

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 7);
	kind text := fuzz.pick(f[1], 'ix', 'pk', 'uq', 'fk', 'ck', 'ex');
	rel regclass := fuzz.pick(f[4], 't', '"a.b"."Ein Name mit dreiundsechzig Bytes, davon sind ein paar Umläute"');
	named text;
	given name;
BEGIN
	INSERT INTO orm_ext.naming_template (kind, template, overflow, schema_in_label)
	VALUES (kind, f[7], fuzz.pick(f[2], 'sqlalchemy', 'postgres'), fuzz.pick(f[3], 'true', 'false')::boolean);
	named := orm_ext.expected_name(kind, rel, string_to_array(f[6], ','), f[5], rel, string_to_array(f[6], ','));
	ASSERT coalesce(octet_length(named), 1) BETWEEN 1 AND 63, format('no name: "%s"', named);
	ASSERT named IS NULL OR convert_from(convert_to(named, 'UTF8'), 'UTF8') = named, 'not UTF-8';
	ASSERT named IS NOT DISTINCT FROM
		orm_ext.expected_name(kind, rel, string_to_array(f[6], ','), f[5], rel, string_to_array(f[6], ',')),
		'not the same twice: ' || named;

	-- an index without a name gets this one, or the same with digits where it is taken
	IF kind = 'ix' THEN
		named := orm_ext.expected_name('ix', rel, ARRAY['id', 'Spalte Ä', 'c63_________________________________________________________é']);
		EXECUTE format('CREATE INDEX ON %s (id, "Spalte Ä", c63_________________________________________________________é)', rel);
		SELECT c.relname INTO STRICT given
		FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE i.indrelid = rel;
		ASSERT named IS NULL OR given = named OR EXISTS (SELECT FROM pg_class AS c WHERE c.relname = named),
			format('named %s instead of %s', given, named);
	END IF;
END
$$;
