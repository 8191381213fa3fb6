--
-- Bulk upsert meets the user's triggers as INSERT ... ON CONFLICT does; called
-- from triggers and functions, prepared, under a changing table.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_triggers.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE stock (id int PRIMARY KEY, name text, n int DEFAULT 0);
	INSERT INTO stock SELECT i, 'item ' || i, i FROM generate_series(1, 6) AS i;
	CREATE TABLE log (at serial, line text);
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %I.log (line) VALUES ($1)', tg_table_schema)
			USING concat_ws(' ', tg_when, tg_level, tg_op, CASE WHEN tg_level = 'ROW' THEN concat_ws(' -> ', old::text, new::text) END);
		RETURN coalesce(new, old);
	END $f$;
	CREATE FUNCTION tell_rows() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %I.log (line) VALUES ($1)', tg_table_schema)
			USING concat_ws(' ', tg_name, (SELECT string_agg(c::text, ' ' ORDER BY c.id) FROM changed AS c));
		RETURN NULL;
	END $f$;
	CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OR DELETE ON stock FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER b_after AFTER INSERT OR UPDATE OR DELETE ON stock FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER c_before BEFORE INSERT OR UPDATE OR DELETE ON stock EXECUTE FUNCTION tell();
	CREATE TRIGGER d_after AFTER INSERT OR UPDATE OR DELETE ON stock EXECUTE FUNCTION tell();
	CREATE TRIGGER e_inserted AFTER INSERT ON stock REFERENCING NEW TABLE AS changed EXECUTE FUNCTION tell_rows();
	CREATE TRIGGER f_updated AFTER UPDATE ON stock REFERENCING OLD TABLE AS old_rows NEW TABLE AS changed EXECUTE FUNCTION tell_rows();
$$);

--
-- Which triggers, with which rows, in which order: the log is compared, too
--
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a", "n": 10}, {"id": 2, "name": "b", "n": 20}, {"id": 8, "name": "c", "n": 30}, {"id": 9, "name": "d", "n": 40}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 10), (2, 'b', 20), (8, 'c', 30), (9, 'd', 40) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 9, "name": "d", "n": 40}, {"id": 8, "name": "c", "n": 30}]')$$,
					 $$INSERT INTO stock VALUES (8, 'c', 30), (9, 'd', 40) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a", "n": 10}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 10) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
-- rows that are partly there: proposed is the existing row under the given columns
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}, {"id": 2, "n": 20}, {"id": 8}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 1), (2, 'item 2', 20), (8, NULL, 0) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 1), (2, 'b', 2) ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
-- no row trigger for what is unchanged or skipped
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "item 1"}, {"id": 2, "n": 20}, {"id": 3}]');
SELECT line FROM log WHERE line ~ 'ROW|ed' ORDER BY at;
ROLLBACK;
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "x"}, {"id": 3}]', on_conflict => 'nothing');
SELECT line FROM log WHERE line ~ 'ROW' ORDER BY at;
ROLLBACK;
-- and of all that is nothing, statement triggers are no more than an INSERT of no rows would call
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "item 1"}]');
SELECT line FROM log ORDER BY at;
ROLLBACK;
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[]');
SELECT line FROM log ORDER BY at;
ROLLBACK;
SELECT setval('log_at_seq', 1, false);
-- nothing: only those of INSERT
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a", "n": 10}, {"id": 9, "name": "d", "n": 40}]', on_conflict => 'nothing')$$,
					 $$INSERT INTO stock VALUES (9, 'd', 40) ON CONFLICT (id) DO NOTHING$$);
-- COPY
BEGIN;
COPY stock (id, name) FROM STDIN WITH (on_conflict 'update');
9	d
1	a
2	item 2
\.
SELECT line FROM log WHERE line ~ 'ROW|ed' ORDER BY at;
ROLLBACK;
SELECT setval('log_at_seq', 1, false);

-- triggers of certain columns, with conditions, of constraints
CALL compare.in_both($$
	DROP TRIGGER a_before ON stock;
	DROP TRIGGER b_after ON stock;
	DROP TRIGGER c_before ON stock;
	DROP TRIGGER d_after ON stock;
	DROP TRIGGER e_inserted ON stock;
	DROP TRIGGER f_updated ON stock;
	CREATE TRIGGER g_of_name BEFORE UPDATE OF name ON stock FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER h_of_n AFTER UPDATE OF n ON stock FOR EACH ROW WHEN (old.n IS DISTINCT FROM new.n) EXECUTE FUNCTION tell();
	CREATE CONSTRAINT TRIGGER i_late AFTER INSERT OR UPDATE ON stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
-- the statement names every column that one of its rows gives
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}, {"id": 2, "n": 20}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 1), (2, 'item 2', 20) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a", "n": 1}, {"id": 2, "name": "item 2", "n": 20}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 1), (2, 'item 2', 20) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
CALL compare.in_both('DROP TRIGGER g_of_name ON stock; DROP TRIGGER h_of_n ON stock; DROP TRIGGER i_late ON stock');

--
-- Triggers that change the row, or refuse it
--
CALL compare.in_both($$
	CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		IF new.name = 'veto' OR tg_op = 'UPDATE' AND old.id = 6 THEN
			RETURN NULL;
		ELSIF new.name = 'fail' THEN
			RAISE EXCEPTION 'no % of %', lower(tg_op), new.id USING ERRCODE = 'OE999';
		ELSIF tg_op = 'UPDATE' THEN
			new.n := new.n + 1000;
		ELSE
			new.name := upper(new.name);
		END IF;
		RETURN new;
	END $f$;
	CREATE TRIGGER change BEFORE INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION change();
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a", "n": 10}, {"id": 2, "name": "veto", "n": 20}, {"id": 6, "name": "x", "n": 7}, {"id": 8, "name": "b", "n": 30}, {"id": 9, "name": "veto", "n": 40}]')$$,
					 $$INSERT INTO stock VALUES (1, 'a', 10), (2, 'veto', 20), (6, 'x', 7), (8, 'b', 30), (9, 'veto', 40) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::stock, '[{"id": 1, "name": "a", "n": 10}, {"id": 2, "name": "veto", "n": 20}, {"id": 6, "name": "x", "n": 7}, {"id": 8, "name": "b", "n": 30}, {"id": 9, "name": "veto", "n": 40}]');
SELECT * FROM orm_ext.last_bulk_result();
ROLLBACK;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('stock', '[{"id": 3}, {"id": 4, "name": "fail"}, {"id": 2, "name": "a"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('stock', '[{"id": 3}, {"id": 14, "name": "fail"}]')$$);
-- one that gives the row another key
CALL compare.in_both($$
	DROP TRIGGER change ON stock;
	CREATE FUNCTION shift() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		new.id := new.id % 10;
		RETURN new;
	END $f$;
	CREATE TRIGGER shift BEFORE INSERT ON stock FOR EACH ROW EXECUTE FUNCTION shift();
$$);
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 11, "name": "a", "n": 10}, {"id": 2, "name": "b", "n": 20}, {"id": 18, "name": "c", "n": 30}]')$$,
					 $$INSERT INTO stock VALUES (11, 'a', 10), (2, 'b', 20), (18, 'c', 30) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n$$);
BEGIN;
SELECT ordinal, action, result FROM orm_ext.bulk_upsert_returning(NULL::stock, '[{"id": 11, "name": "a", "n": 10}, {"id": 2, "name": "b", "n": 20}, {"id": 18, "name": "c", "n": 30}]');
ROLLBACK;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('stock', '[{"id": 11, "name": "a"}, {"id": 21, "name": "b"}]')$$);
CALL compare.in_both('DROP TRIGGER shift ON stock');

-- rules: as ON CONFLICT takes them
CREATE RULE also AS ON UPDATE TO stock DO ALSO NOTIFY stock;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('stock', '[{"id": 1, "name": "a"}]')$$);
SELECT * FROM compare.failure($$INSERT INTO stock (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'a'$$);
DROP RULE also ON stock;

-- triggers that are switched off
CALL compare.in_both('CREATE TRIGGER a_before BEFORE INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION tell(); ALTER TABLE stock DISABLE TRIGGER a_before');
CALL compare.bulk('stock', '[{"id": 1, "name": "a"}, {"id": 9, "name": "b"}]');
CALL compare.in_both('ALTER TABLE stock ENABLE TRIGGER a_before');
SET session_replication_role = replica;
CALL compare.bulk('stock', '[{"id": 1, "name": "a"}, {"id": 9, "name": "b"}]');
RESET session_replication_role;
CALL compare.in_both('DROP TRIGGER a_before ON stock');

--
-- A bulk upsert in a trigger of a bulk upsert, into another table, its own one, and deeper
--
CALL compare.in_both($$
	CREATE TABLE total (name text PRIMARY KEY, n int, times int DEFAULT 1);
	INSERT INTO total VALUES ('item 1', 100);
	CREATE TABLE tree (id int PRIMARY KEY, n int);
$$);
CREATE FUNCTION soft.sum_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	SELECT * INTO r FROM orm_ext.bulk_upsert('soft.total', jsonb_build_array(jsonb_build_object('name', new.name, 'n', new.n)));
	RAISE NOTICE '% %: %', tg_op, new.name, r;
	RETURN new;
END
$$;
CREATE TRIGGER sum_up BEFORE INSERT OR UPDATE ON soft.stock FOR EACH ROW EXECUTE FUNCTION soft.sum_up();
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "n": 5}, {"id": 9, "name": "nine", "n": 9}, {"id": 10, "name": "nine", "n": 10}]');
-- the outer one was the last
SELECT * FROM orm_ext.last_bulk_result();
SELECT * FROM total ORDER BY name;
ROLLBACK;
DROP TRIGGER sum_up ON soft.stock;
CREATE FUNCTION soft.grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.n > 0 THEN
		PERFORM orm_ext.bulk_upsert('soft.tree', jsonb_build_array(jsonb_build_object('id', new.id * 2, 'n', new.n - 1), jsonb_build_object('id', new.id * 2 + 1, 'n', new.n - 1)));
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER grow AFTER INSERT OR UPDATE ON soft.tree FOR EACH ROW EXECUTE FUNCTION soft.grow();
SELECT * FROM orm_ext.bulk_upsert('tree', '[{"id": 1, "n": 3}]');
SELECT string_agg(id || ':' || n, ' ' ORDER BY id) FROM tree;
SELECT * FROM orm_ext.bulk_upsert('tree', '[{"id": 1, "n": 4}]');
SELECT count(*), sum(n) FROM tree;
-- the very row that is being written
CREATE OR REPLACE FUNCTION soft.grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM orm_ext.bulk_upsert('soft.tree', jsonb_build_object('id', new.id, 'n', new.n + 1));
	RETURN new;
END
$$;
CREATE OR REPLACE TRIGGER grow BEFORE UPDATE ON soft.tree FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION soft.grow();
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('soft.tree', '[{"id": 1, "n": 50}]')$$);
SELECT * FROM compare.failure($$UPDATE soft.tree SET n = 50 WHERE id = 1$$);
DROP TRIGGER grow ON soft.tree;
-- in a statement trigger, with the rows of the statement
CREATE FUNCTION soft.mirror() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM orm_ext.bulk_upsert('soft.total', (SELECT jsonb_agg(jsonb_build_object('name', name, 'n', n)) FROM changed));
	RETURN NULL;
END
$$;
CREATE TRIGGER mirror_inserts AFTER INSERT ON soft.stock REFERENCING NEW TABLE AS changed EXECUTE FUNCTION soft.mirror();
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 1, "n": 5}, {"id": 9, "name": "nine", "n": 9}, {"id": 10, "name": "ten", "n": 10}]');
SELECT * FROM total ORDER BY name;
ROLLBACK;
DROP TRIGGER mirror_inserts ON soft.stock;

--
-- Aborted subtransactions
--
DO $$
DECLARE
	r record;
BEGIN
	FOR i IN 1..3 LOOP
		BEGIN
			PERFORM orm_ext.bulk_upsert('soft.stock', '[{"id": 1, "n": 77}, {"id": 20}, {"id": null}]');
		EXCEPTION WHEN not_null_violation THEN
			RAISE NOTICE 'refused: %', SQLERRM;
		END;
		BEGIN
			SELECT * INTO r FROM orm_ext.bulk_upsert('soft.stock', '[{"id": 1, "n": 77}, {"id": 21}]');
			RAISE EXCEPTION 'undone %', r;
		EXCEPTION WHEN raise_exception THEN
			RAISE NOTICE '%', SQLERRM;
		END;
		SELECT * INTO r FROM orm_ext.bulk_upsert('soft.stock', jsonb_build_array(jsonb_build_object('id', 1, 'n', 1), jsonb_build_object('id', 30 + i)));
		RAISE NOTICE 'kept %', r;
	END LOOP;
END
$$;
SELECT id, n FROM stock WHERE id = 1 OR id > 6 ORDER BY id;
BEGIN;
SAVEPOINT a;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 31, "n": 31}, {"id": 41}]');
ROLLBACK TO a;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 31, "n": 31}, {"id": 41}]');
\set VERBOSITY sqlstate
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 31, "n": "x"}]');
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 31, "n": 5}]');
ROLLBACK TO a;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 31, "n": 5}, {"id": 41}]');
COPY stock (id, n) FROM STDIN WITH (on_conflict 'update');
50	1
x	2
\.
ROLLBACK TO a;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": 31, "n": 5}, {"id": 41}, {"id": 50}]');
\set VERBOSITY default
ROLLBACK;
DELETE FROM stock WHERE id > 6;
UPDATE stock SET n = id;

--
-- A table that changes under a cached plan
--
CREATE FUNCTION soft.put(rows jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM orm_ext.bulk_upsert_returning(NULL::soft.stock, rows) LOOP
		RETURN NEXT concat_ws(' ', r.ordinal, r.action, r.result::text);
	END LOOP;
END
$$;
PREPARE put(jsonb) AS SELECT * FROM orm_ext.bulk_upsert('stock', $1, '{id}');
EXECUTE put('[{"id": 1, "n": 2}, {"id": 7}]');
SELECT put('[{"id": 1, "n": 3}, {"id": 8}]');
ALTER TABLE stock ADD added text DEFAULT 'later', ALTER n SET DEFAULT 99;
EXECUTE put('[{"id": 1, "added": "x"}, {"id": 9}]');
SELECT put('[{"id": 1, "added": "y"}, {"id": 10}]');
ALTER TABLE stock DROP name;
EXECUTE put('[{"id": 1, "added": "z"}, {"id": 11}]');
SELECT put('[{"id": 1, "added": "a"}, {"id": 12}]');
ALTER TABLE stock RENAME added TO renamed;
ALTER TABLE stock ALTER n TYPE text USING n || '!';
EXECUTE put('[{"id": 1, "renamed": "b", "n": "two"}, {"id": 13}]');
SELECT put('[{"id": 1, "renamed": "c", "n": "three"}, {"id": 14}]');
ALTER TABLE stock ADD CHECK (n <> 'bad');
SELECT * FROM compare.failure($$EXECUTE put('[{"id": 1, "n": "bad"}]')$$);
ALTER TABLE stock DROP CONSTRAINT stock_pkey;
SELECT * FROM compare.failure($$EXECUTE put('[{"id": 1, "n": "x"}]')$$);
CREATE UNIQUE INDEX now_this ON stock (id);
EXECUTE put('[{"id": 1, "n": "x"}, {"id": 15}]');
DROP INDEX now_this;
CREATE UNIQUE INDEX now_that ON stock (id) WHERE n <> 'none';
EXECUTE put('[{"id": 1, "n": "y"}, {"id": 1, "n": "none"}, {"id": 16, "n": "z"}]');
DROP INDEX now_that;
DELETE FROM stock WHERE n = 'none';
ALTER TABLE stock ADD PRIMARY KEY (id);
EXECUTE put('[{"id": 1, "n": "z"}, {"id": 17}]');
CREATE TRIGGER veto BEFORE INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE stock DISABLE TRIGGER veto;
EXECUTE put('[{"id": 1, "n": "q"}, {"id": 18}]');
DROP TRIGGER veto ON stock;
TRUNCATE stock;
EXECUTE put('[{"id": 1, "n": "z"}, {"id": 17}]');
DROP TABLE stock;
\set VERBOSITY terse
EXECUTE put('[{"id": 1, "n": "z"}, {"id": 17}]');
\set VERBOSITY default
CREATE TABLE stock (id text PRIMARY KEY, n int);
EXECUTE put('[{"id": "one", "n": 1}]');
EXECUTE put('[{"id": "one", "n": 2}, {"id": "two"}]');
SELECT * FROM stock ORDER BY id;
DEALLOCATE put;
-- another table of the same name on the path
CREATE TEMP TABLE stock (id int PRIMARY KEY, n int);
PREPARE put(jsonb) AS SELECT * FROM orm_ext.bulk_upsert('stock', $1);
SELECT * FROM orm_ext.bulk_upsert('pg_temp.stock', '[{"id": 1}]');
EXECUTE put('[{"id": 2}]');
SELECT (SELECT count(*) FROM pg_temp.stock), (SELECT count(*) FROM soft.stock);
DROP TABLE pg_temp.stock;
-- dropped by its own trigger: the server does not let it
CREATE FUNCTION soft.suicide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DROP TABLE soft.stock; RETURN new; END $$;
CREATE TRIGGER suicide BEFORE INSERT ON stock FOR EACH ROW EXECUTE FUNCTION soft.suicide();
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('soft.stock', '[{"id": "three"}]')$$);
DROP TRIGGER suicide ON stock;
SELECT * FROM orm_ext.bulk_upsert('stock', '[{"id": "three"}]');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
