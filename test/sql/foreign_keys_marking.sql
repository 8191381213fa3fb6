--
-- MERGE and upserts that may mark rows: to lock these in time, what becomes of the
-- marker is evaluated early.  Nobody may notice: the same statements on tables
-- where deleted_at is a column like any other.
--
SET timezone = 'UTC';
CREATE ROLE marking;
CREATE SEQUENCE calls;
GRANT ALL ON SEQUENCE calls TO marking;
-- count calls, also those that are undone
CREATE FUNCTION counted(x int) RETURNS int LANGUAGE plpgsql VOLATILE AS
	$$ BEGIN PERFORM nextval('calls'); RETURN x; END $$;
CREATE FUNCTION leaky(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN PERFORM nextval('calls'); RETURN x; END $$;
CREATE FUNCTION upper_note() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN NEW.note := upper(NEW.note); RETURN NEW; END $$;

CREATE SCHEMA marked;
CREATE SCHEMA unmarked;
GRANT USAGE ON SCHEMA marked, unmarked TO marking;
DO $$
DECLARE
	schema text;
BEGIN
	FOREACH schema IN ARRAY '{marked,unmarked}'::text[] LOOP
		PERFORM set_config('search_path', schema || ', public', true);
		CREATE TABLE parent (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED,
			state text GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN 'live' ELSE 'gone' END) STORED,
			note text DEFAULT 'note', deleted_at timestamptz);
		CREATE TABLE child (up int REFERENCES parent ON DELETE CASCADE, deleted_at timestamptz);
		INSERT INTO parent SELECT i, i FROM generate_series(1, 4) AS i;
		-- fired by updates of the key
		CREATE TRIGGER key_note BEFORE UPDATE OF id ON parent FOR EACH ROW EXECUTE FUNCTION upper_note();
		GRANT ALL ON parent TO marking;
		CREATE POLICY look ON parent FOR SELECT USING (true);
		CREATE POLICY insert ON parent FOR INSERT WITH CHECK (true);
		CREATE POLICY change ON parent FOR UPDATE USING (id <> 3);
	END LOOP;
END
$$;
CREATE TRIGGER soft_delete BEFORE DELETE ON marked.parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON marked.child FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');

-- What a statement does in a schema: the rows, how often something was called, the error.
CREATE FUNCTION outcome(schema text, statement text, who text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text := 'none';
	rows text;
	count bigint;
BEGIN
	PERFORM setval('calls', 1, false);
	BEGIN
		PERFORM set_config('search_path', schema || ', public', true), set_config('role', who, true);
		EXECUTE statement;
		GET DIAGNOSTICS count = ROW_COUNT;
		PERFORM set_config('orm_ext.deleted_rows', 'show', true);
		EXECUTE 'SELECT string_agg(concat_ws('' '', id, v, twice, state, note), '', '' ORDER BY id) FROM parent' INTO rows;
		RAISE 'undone' USING ERRCODE = 'P0042';
	EXCEPTION
		WHEN SQLSTATE 'P0042' THEN answer := count || ' changed: ' || rows;
		WHEN OTHERS THEN answer := SQLSTATE || ' ' || SQLERRM;
	END;
	PERFORM set_config('role', 'none', true);
	RETURN answer || '; calls: ' || (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM calls);
END
$$;
CREATE FUNCTION side_by_side(statement text, who text DEFAULT 'none') RETURNS TABLE (same boolean, outcome text) LANGUAGE sql AS $$
	SELECT outcome('marked', statement, who) = outcome('unmarked', statement, who), outcome('marked', statement, who);
$$;

--
-- How often expressions are evaluated
--
SELECT * FROM side_by_side('MERGE INTO parent AS p USING generate_series(1, 5) AS i ON id = i
	WHEN MATCHED AND counted(i) = 1 THEN UPDATE SET deleted_at = to_timestamp(counted(1))
	WHEN MATCHED AND counted(i) = 2 THEN UPDATE SET v = counted(7)
	WHEN MATCHED AND counted(p.v) = 3 THEN DO NOTHING
	WHEN MATCHED THEN UPDATE SET (v, deleted_at) = (SELECT counted(9), now())
	WHEN NOT MATCHED AND counted(i) > 0 THEN INSERT VALUES (i, counted(i))');
SELECT * FROM side_by_side('INSERT INTO parent VALUES (1, 0), (2, 0), (5, 0)
	ON CONFLICT (id) DO UPDATE SET deleted_at = to_timestamp(counted(excluded.id)) WHERE counted(parent.v) > 1');
SELECT * FROM side_by_side('INSERT INTO parent SELECT i, counted(i) FROM generate_series(1, 5) AS i
	ON CONFLICT (id) DO UPDATE SET (v, deleted_at) = (SELECT excluded.v * 2, to_timestamp(counted(excluded.id)))');

--
-- Not before the row is known to be updated, nor by what row-level security hides
--
SELECT * FROM side_by_side('INSERT INTO parent VALUES (1, 0), (5, 0)
	ON CONFLICT (id) DO UPDATE SET deleted_at = to_timestamp(1 / excluded.v) WHERE parent.v > 1');
SELECT * FROM side_by_side('INSERT INTO parent VALUES (1, 0), (5, 0)
	ON CONFLICT (id) DO UPDATE SET deleted_at = now() WHERE parent.v / excluded.v > 1 AND false');
SELECT * FROM side_by_side('INSERT INTO parent VALUES (2, 0)
	ON CONFLICT (id) DO UPDATE SET deleted_at = CASE WHEN excluded.v = 0 THEN to_timestamp(1 / excluded.v) END');
ALTER TABLE marked.parent ENABLE ROW LEVEL SECURITY;
ALTER TABLE unmarked.parent ENABLE ROW LEVEL SECURITY;
SELECT * FROM side_by_side('INSERT INTO parent VALUES (3, 0)
	ON CONFLICT (id) DO UPDATE SET deleted_at = to_timestamp(leaky(parent.v))', 'marking');
SELECT * FROM side_by_side('INSERT INTO parent VALUES (2, 0)
	ON CONFLICT (id) DO UPDATE SET deleted_at = to_timestamp(leaky(parent.v))', 'marking');

--
-- Triggers for updates of certain columns, and generated columns
--
SELECT * FROM side_by_side('INSERT INTO parent VALUES (1, 7), (2, 8), (5, 9)
	ON CONFLICT (id) DO UPDATE SET v = excluded.v, deleted_at = CASE WHEN excluded.id = 1 THEN now() END');
SELECT * FROM side_by_side('INSERT INTO parent VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET id = excluded.id, deleted_at = now()');
SELECT * FROM side_by_side('MERGE INTO parent USING (VALUES (1), (2)) AS s (k) ON id = k
	WHEN MATCHED AND id = 1 THEN UPDATE SET deleted_at = now() WHEN MATCHED THEN UPDATE SET v = 8');
SELECT * FROM side_by_side('INSERT INTO parent VALUES (1, 7), (1, 8) ON CONFLICT (id) DO UPDATE SET v = excluded.v, deleted_at = now()');

--
-- A plan that is used again and again
--
SET plan_cache_mode = force_generic_plan;
PREPARE upsert (int, int, timestamptz) AS INSERT INTO marked.parent VALUES ($1, $2, DEFAULT, DEFAULT, DEFAULT, $3)
	ON CONFLICT (id) DO UPDATE SET v = excluded.v, deleted_at = excluded.deleted_at;
EXECUTE upsert (1, 1, NULL);
EXECUTE upsert (1, 2, '2001-01-01 UTC');
EXECUTE upsert (2, 3, NULL);
EXECUTE upsert (1, 4, '2002-02-02 UTC');
EXECUTE upsert (1, 5, NULL);
EXECUTE upsert (6, 6, '2001-01-01 UTC');
SELECT id, v, state, deleted_at FROM marked.parent WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;

DROP SCHEMA marked, unmarked CASCADE;
DROP FUNCTION side_by_side, outcome, counted, leaky, upper_note;
DROP SEQUENCE calls;
DROP ROLE marking;
