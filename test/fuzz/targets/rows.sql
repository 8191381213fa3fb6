-- Bulk upserts of rows in JSON, with their options, against columns of many types.  What a row of its
-- own stores is what jsonb_populate_record() makes of it.
-- Fields: door, table, conflict (by commas), update_columns (by commas), on_conflict, on_duplicate,
-- on_deleted, version_column, rows.
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN given AS text NOT NULL;
CREATE DOMAIN numbers AS integer[] CHECK (cardinality(VALUE) < 5);
CREATE TYPE pair AS (a integer, b text);
CREATE TABLE plain (
	id integer PRIMARY KEY, i2 smallint, i8 bigint, n numeric(8, 2), f8 double precision, tx text, vc varchar(5), ch char(3), b boolean,
	mood mood, pos positive, giv given DEFAULT 'x', nums numbers, ints integer[], texts text[][], j json, jb jsonb, jp jsonpath,
	pair pair, pairs pair[], by bytea, tz timestamptz, ts timestamp, d date, ti time, iv interval, u uuid, inet inet, r int4range,
	bits bit(3), rc regclass, "Odd ""name" integer DEFAULT 7);
CREATE TABLE managed (
	id integer PRIMARY KEY, a text, code text UNIQUE DEFAULT 'c', i2 smallint, gen integer GENERATED ALWAYS AS (i2 + 1) STORED,
	version integer DEFAULT 1, created_at timestamptz, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON managed FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON managed FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at');
CREATE TABLE ident (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text UNIQUE, b integer);
CREATE TABLE parts (id integer, a text, b integer, PRIMARY KEY (id, a)) PARTITION BY LIST (a);
CREATE TABLE part_a PARTITION OF parts FOR VALUES IN ('a', 'aa');
CREATE TABLE part_rest PARTITION OF parts DEFAULT;
INSERT INTO plain (id, tx) VALUES (1, 'old');
INSERT INTO managed (id, a, code) VALUES (1, 'live', 'live'), (2, 'gone', 'gone');
DELETE FROM managed WHERE id = 2;
INSERT INTO ident (a) VALUES ('a');
INSERT INTO parts VALUES (1, 'a', 1), (1, 'z', 2);

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 9);
	rel text := fuzz.pick(f[2], 'plain', 'managed', 'ident', 'parts');
	conflict text[] := CASE WHEN f[3] <> '' THEN string_to_array(f[3], ',', 'NULL') END;
	update_columns text[] := CASE WHEN f[4] <> '' THEN string_to_array(f[4], ',', 'NULL') END;
	on_conflict text := CASE WHEN f[5] <> '' THEN f[5] ELSE 'update' END;
	on_duplicate text := CASE WHEN f[6] <> '' THEN f[6] ELSE 'last' END;
	on_deleted text := CASE WHEN f[7] <> '' THEN f[7] ELSE 'insert' END;
	version_column text := CASE WHEN f[8] <> '' THEN f[8] END;
	counts orm_ext.bulk_counts;
	n bigint;
BEGIN
	CASE fuzz.pick(f[1], 'jsonb', 'json', 'text', 'returning')
		WHEN 'jsonb' THEN
			counts := orm_ext.bulk_upsert(rel::regclass, f[9]::jsonb, conflict, update_columns, on_conflict, on_duplicate, on_deleted, version_column);
		WHEN 'json' THEN
			counts := orm_ext.bulk_upsert(rel, f[9]::json, conflict, update_columns, on_conflict, on_duplicate, on_deleted, version_column);
		WHEN 'text' THEN
			counts := orm_ext.bulk_upsert(rel, f[9], conflict, update_columns, on_conflict, on_duplicate, on_deleted, version_column);
		ELSE
			EXECUTE format('SELECT count(*) FILTER (WHERE action = ''inserted''), count(*) FILTER (WHERE action = ''updated''),
				count(*) FILTER (WHERE action = ''unchanged''), count(*) FILTER (WHERE action NOT IN (''inserted'', ''updated'', ''unchanged''))
				FROM orm_ext.bulk_upsert_returning(NULL::%I, $1, $2, $3, $4, $5, $6, $7)', rel)
			INTO counts
			USING f[9], conflict, update_columns, on_conflict, on_duplicate, on_deleted, version_column;
	END CASE;
	n := CASE jsonb_typeof(f[9]::jsonb) WHEN 'array' THEN jsonb_array_length(f[9]::jsonb) ELSE 1 END;
	ASSERT counts.inserted + counts.updated + counts.unchanged + counts.skipped = n,
		format('%s of %s rows', counts, n);

	IF rel = 'plain' AND n = 1 AND conflict IS NULL AND update_columns IS NULL AND on_conflict = 'update' THEN
		SELECT count(*) INTO STRICT n
		FROM CAST(CASE jsonb_typeof(f[9]::jsonb) WHEN 'array' THEN f[9]::jsonb -> 0 ELSE f[9]::jsonb END AS jsonb) AS given,
			CAST(jsonb_populate_record(NULL::plain, jsonb_build_object('giv', 'x') || given) AS plain) AS made
			JOIN plain AS stored ON stored.id = (made).id,
			jsonb_object_keys(given) AS key
		WHERE to_jsonb(stored) -> key IS DISTINCT FROM to_jsonb(made) -> key;
		ASSERT n = 0, format('%s columns are not what jsonb_populate_record() makes of them', n);
	END IF;
END
$$;
