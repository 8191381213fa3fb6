--
-- change_id and orm_ext.min_active_change_id(): a cursor over changes that
-- misses none.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (
		id int PRIMARY KEY, title text, hits int, version int, updated_at timestamptz, change_id bigint, body json,
		twice int GENERATED ALWAYS AS (hits * 2) STORED
	);
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('change_id=change_id', 'version=version', 'updated=updated_at', 'ignore=hits');

-- one for all changes of a transaction, and a greater one for the next
INSERT INTO post (id, title) VALUES (1, 'one');
BEGIN;
INSERT INTO post (id, title) VALUES (2, 'two');
SAVEPOINT s;
INSERT INTO post (id, title) VALUES (3, 'three');
RELEASE s;
INSERT INTO post (id, title) SELECT i, 'many' FROM generate_series(4, 6) AS i;
SELECT count(DISTINCT change_id) FROM post WHERE id >= 2;
COMMIT;
SELECT count(*), count(DISTINCT change_id), count(*) FILTER (WHERE change_id IS NULL) FROM post;
SELECT a.change_id < b.change_id FROM post AS a, post AS b WHERE a.id = 1 AND b.id = 2;

-- What a statement does to the change_id of the row that it is about, in a transaction of its own.
CREATE FUNCTION moved(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	key int := substring(statement FROM '\mid = (\d)');
	before bigint := (SELECT change_id FROM post WHERE id = key);
	after bigint;
BEGIN
	EXECUTE statement;
	after := (SELECT change_id FROM post WHERE id = key);
	RETURN CASE WHEN after = before THEN 'still' WHEN after > before THEN 'greater' ELSE 'LESS ' || coalesce(after::text, 'null') END;
END
$$;
-- it is new with every change, of ignored and managed columns too
SELECT moved('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT moved('UPDATE post SET hits = 1 WHERE id = 1');
SELECT moved('UPDATE post SET updated_at = ''2001-01-01'' WHERE id = 1');
SELECT moved('UPDATE post SET version = version + 1 WHERE id = 1');
SELECT moved('UPDATE post SET body = ''{}'' WHERE id = 1');
SELECT moved('UPDATE post SET title = NULL WHERE id = 1');
-- and stays without one
SELECT moved('UPDATE post SET title = title WHERE id = 1');
SELECT moved('UPDATE post SET title = NULL, hits = 1, body = ''{}'' WHERE id = 1');
SELECT moved('UPDATE post SET version = version WHERE id = 1');
-- no client can give one
SELECT moved('UPDATE post SET change_id = 7 WHERE id = 1');
SELECT moved('UPDATE post SET change_id = NULL WHERE id = 1');
SELECT moved('UPDATE post SET title = ''y'', change_id = 7 WHERE id = 1');
SELECT moved('UPDATE post SET title = ''z'', change_id = change_id WHERE id = 1');
SELECT moved('INSERT INTO post (id, change_id) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET title = ''w'', change_id = excluded.change_id -- id = 1');
SELECT moved('MERGE INTO post USING (VALUES (1)) AS v (id) ON v.id = post.id WHEN MATCHED THEN UPDATE SET title = ''v'', change_id = 7 -- id = 1');
BEGIN;
INSERT INTO post (id, change_id) VALUES (7, 7);
COPY post (id, change_id) FROM stdin;
8	7
\.
SELECT count(DISTINCT change_id), min(change_id) > 7 FROM post WHERE id IN (7, 8);
COMMIT;
-- statements answer as without
SET compare.left_out = 'change_id version updated_at';
CALL compare.in_both('DELETE FROM post');
CALL compare.in_both('INSERT INTO post (id, title) VALUES (1, ''one'')');
SELECT compare.effect('UPDATE post SET title = ''x'' RETURNING id, title, hits');
SELECT compare.effect('UPDATE post SET title = title RETURNING id, title, hits');
SELECT compare.effect('UPDATE post SET change_id = 7');

--
-- The bound: less than what is not over, greater than what is
--
-- It waits for whatever else is active on this server just now.
CREATE FUNCTION is_finished(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..600 LOOP
		IF id < orm_ext.min_active_change_id() THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN false;
END
$$;
SELECT is_finished(max(change_id)) FROM post;
BEGIN;
UPDATE post SET title = 'x';
SELECT bool_and(change_id >= orm_ext.min_active_change_id()) FROM post;
SAVEPOINT s;
UPDATE post SET title = 'y';
SELECT bool_and(change_id >= orm_ext.min_active_change_id()) FROM post;
ROLLBACK TO s;
SELECT bool_and(change_id >= orm_ext.min_active_change_id()) FROM post;
COMMIT;
SELECT is_finished(max(change_id)) FROM post;
-- it is that of the snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT orm_ext.min_active_change_id() AS bound \gset
SELECT orm_ext.min_active_change_id() = :bound;
COMMIT;
SELECT orm_ext.min_active_change_id() >= :bound;
-- reading takes no transaction's number
BEGIN;
SELECT orm_ext.min_active_change_id() > 0;
SELECT pg_current_xact_id_if_assigned() IS NULL;
UPDATE post SET title = title WHERE false;
SELECT pg_current_xact_id_if_assigned() IS NULL;
COMMIT;

-- a poller sees each change exactly once
CREATE TABLE seen (id int, title text);
CREATE FUNCTION poll(INOUT last bigint) LANGUAGE plpgsql AS $$
DECLARE
	bound bigint;
BEGIN
	PERFORM is_finished((SELECT max(change_id) FROM post));
	WITH b AS (SELECT orm_ext.min_active_change_id() AS bound),
		news AS (INSERT INTO seen SELECT id, title FROM post, b WHERE change_id >= last AND change_id < b.bound)
	SELECT b.bound INTO bound FROM b;
	last := bound;
END
$$;
SELECT poll(0) AS last \gset
SELECT id, title FROM seen;
TRUNCATE seen;
SELECT poll(:last) AS last \gset
SELECT count(*) FROM seen;
UPDATE post SET title = 'a';
INSERT INTO post (id, title) VALUES (2, 'b');
SELECT poll(:last) AS last \gset
SELECT id, title FROM seen ORDER BY id;
TRUNCATE seen;
UPDATE post SET title = 'c' WHERE id = 2;
UPDATE post SET title = title;
SELECT poll(:last) AS last \gset
SELECT id, title FROM seen ORDER BY id;
SELECT poll(:last) AS last \gset
SELECT count(*) FROM seen;

--
-- Partitions, foreign keys and parents
--
CREATE TABLE event (id int, kind text, change_id bigint) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE TABLE event_b (change_id bigint, kind text, id int);
ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
INSERT INTO event VALUES (1, 'a');
CREATE TEMP TABLE before AS TABLE event;
UPDATE event SET kind = 'b';
SELECT e.change_id > b.change_id FROM event AS e, before AS b;
CREATE TABLE owner (id int PRIMARY KEY, updated_at timestamptz, change_id bigint);
CREATE TABLE pet (id int PRIMARY KEY, owner_id int REFERENCES owner ON UPDATE CASCADE, change_id bigint);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON owner FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id', 'updated=updated_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON pet FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON pet FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('owner_id', 'updated_at');
INSERT INTO owner VALUES (1);
INSERT INTO pet VALUES (1, 1);
SELECT owner.change_id = pet.change_id FROM owner, pet;
UPDATE owner SET id = 2;
SELECT owner.change_id = pet.change_id FROM owner, pet;
-- the number of a transaction is that of pg_current_xact_id(), as long as the cluster is the same
BEGIN;
UPDATE pet SET id = 2;
SELECT change_id = pg_current_xact_id()::text::bigint FROM pet;
COMMIT;

--
-- Rows that bring greater ones along, as those of another cluster do: what is
-- to come exceeds them, however they came
--
CREATE TABLE other AS SELECT 1 AS id, 1 AS a, 1000000000000::bigint AS change_id;
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON other FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
SELECT is_finished(change_id) FROM other;
UPDATE other SET a = 2 RETURNING change_id > 1000000000000;
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
INSERT INTO other VALUES (2, 2, 2000000000000);
COMMIT;
UPDATE other SET a = 3 RETURNING change_id > 2000000000000;
BEGIN;
SET LOCAL orm_ext.bypass_stamps = on;
UPDATE other SET change_id = 3000000000000;
COMMIT;
UPDATE other SET a = 4 RETURNING change_id > 3000000000000;
CREATE TABLE event_c AS SELECT 3 AS id, 'c' AS kind, 4000000000000::bigint AS change_id;
ALTER TABLE event ATTACH PARTITION event_c FOR VALUES IN ('c');
UPDATE event SET id = 4 WHERE kind = 'c' RETURNING change_id > 4000000000000;
ALTER TABLE other DISABLE TRIGGER stamps;
UPDATE other SET change_id = 5000000000000;
ALTER TABLE other ENABLE TRIGGER stamps;
UPDATE other SET a = 5 RETURNING change_id > 5000000000000;
SELECT orm_ext.min_active_change_id() > 5000000000000;
-- what has no change_id
SELECT orm_ext.lift_change_ids(0);
SELECT orm_ext.lift_change_ids('pg_stats');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
