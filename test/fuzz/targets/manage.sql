-- Names and options of manage() and enable_soft_delete().
-- Fields: function, name of a column, its type, unique_keys, options (by |).
CREATE TABLE parent (id integer PRIMARY KEY, name text UNIQUE, version integer DEFAULT 1, created_at timestamptz, "updatedAt" timestamp,
	updated_by text, a integer);
CREATE TABLE t (id integer PRIMARY KEY, parent_id integer REFERENCES parent ON DELETE CASCADE, code text, UNIQUE (parent_id, code),
	removed boolean NOT NULL DEFAULT false, removed_micros bigint NOT NULL DEFAULT 0, deleted_at timestamptz);
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b');

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 5);
	rel regclass := fuzz.pick(f[4], 'parent', 't');
	n bigint;
BEGIN
	CASE fuzz.pick(f[1], 'manage', 'enable_soft_delete')
		WHEN 'manage' THEN
			EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', rel, f[2], fuzz.pick(f[3], 'timestamptz', 'integer', 'text', 'uuid', 'boolean', 'bigint'));
			PERFORM * FROM orm_ext.manage(rel, VARIADIC string_to_array(f[5], '|'));
			PERFORM * FROM orm_ext.unmanage(rel);
		ELSE
			PERFORM * FROM orm_ext.enable_soft_delete(rel, f[2]::name, fuzz.pick(f[3], 'timestamptz', 'timestamp', 'boolean', 'bigint', 'text')::regtype,
				coalesce(nullif(f[5], ''), 'live'));
			DELETE FROM parent WHERE id = 1;
			SELECT count(*) INTO n FROM orm_ext.managed AS m WHERE m."table" = rel AND m.policy = 'soft_delete';
			ASSERT n = 1, 'enabled, but not shown';
			PERFORM * FROM orm_ext.disable_soft_delete(rel, coalesce(nullif(f[5], ''), 'live'));
	END CASE;
END
$$;
