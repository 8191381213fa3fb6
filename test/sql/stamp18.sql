--
-- Stamps and what is new in PostgreSQL 18: generated columns that are not
-- stored, and RETURNING old and new.
--
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
CREATE SCHEMA twin;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (
		id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL,
		version int, label text GENERATED ALWAYS AS ('v' || version) VIRTUAL,
		hits int, popular boolean GENERATED ALWAYS AS (hits > 10) VIRTUAL,
		stored int GENERATED ALWAYS AS (a * 3) STORED, updated_at timestamptz
	);
	INSERT INTO post (id, a, version, hits, updated_at) VALUES (1, 1, 5, 1, '2002-01-01 00:00:00Z'), (2, 2, 5, 2, '2002-01-01 00:00:00Z');
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=hits');
SET compare.left_out = 'version updated_at label';

-- computed when read; no change by themselves
SELECT compare.changes('UPDATE post SET a = a');
SELECT compare.changes('UPDATE post SET a = 1, twice = DEFAULT, stored = DEFAULT WHERE id = 1');
SELECT compare.changes('UPDATE post SET a = 9');
SELECT compare.changes('UPDATE post SET hits = 99');
SELECT compare.changes('UPDATE post SET a = 9, version = version + 1 RETURNING label, twice, popular');
SELECT compare.changes('INSERT INTO post (id, a) VALUES (3, 3) RETURNING label');
SELECT compare.effect('UPDATE post SET a = 9 RETURNING id, a, twice, popular, stored');
SELECT left(compare.changes('UPDATE post SET a = 9, version = 4'), 5);

-- RETURNING old and new
SELECT compare.changes('UPDATE post SET a = 9 RETURNING old.version, new.version, old.label, new.label, new.updated_at = now()');
SELECT compare.changes('UPDATE post SET a = a RETURNING old.version, new.version, old = new');
SELECT compare.changes('INSERT INTO post (id, a) VALUES (1, 9), (3, 3) ON CONFLICT (id) DO UPDATE SET a = excluded.a RETURNING old.version, new.version');
SELECT compare.changes('MERGE INTO post AS p USING (VALUES (1), (3)) AS v (id) ON v.id = p.id WHEN MATCHED THEN UPDATE SET a = 9 WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id) RETURNING merge_action(), old.version, new.version');
SELECT compare.effect('UPDATE post SET a = 9 RETURNING old.a, new.a, old.id, new.twice');
SELECT compare.effect('DELETE FROM post RETURNING old.*, new.*');

-- none of them can be kept
CREATE TABLE item (id int PRIMARY KEY, a int, v int GENERATED ALWAYS AS (a) VIRTUAL, at timestamptz GENERATED ALWAYS AS (NULL::timestamptz) VIRTUAL);
SELECT compare.refusal('CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''v'')');
SELECT compare.refusal('CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('''', ''at'')');
-- but ignored
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=twice,hits');
SELECT compare.changes('UPDATE post SET a = 9 WHERE id = 1');
SELECT compare.changes('UPDATE post SET hits = 9 WHERE id = 1');

-- partitions may compute them otherwise
DROP TABLE item;
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, a int, version int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (b int GENERATED ALWAYS AS (a + 100) VIRTUAL, version int, a int, kind text, id int);
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	INSERT INTO event VALUES (1, 'a', 1, 5);
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT compare.changes('UPDATE event SET a = 2');
SELECT compare.effect('UPDATE event SET a = 2 RETURNING a, b, old.b, kind');
SELECT compare.changes('UPDATE event SET kind = ''b'' ');
SELECT compare.effect('UPDATE event SET kind = ''b'' RETURNING a, b, old.b, kind');
SELECT compare.changes('UPDATE event SET kind = kind');

-- update_checked answers with what is read
SELECT orm_ext.update_checked('post', 1, '5', '{"a": 9}') - 'updated_at';
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '6', '{"twice": 9}')$$);

-- change_id on a table with them
CREATE TABLE track (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a) VIRTUAL, change_id bigint);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON track FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
INSERT INTO track VALUES (1, 1);
SELECT change_id AS before FROM track \gset
UPDATE track SET a = a;
SELECT change_id = :before FROM track;
UPDATE track SET a = 2;
SELECT change_id > :before FROM track;

-- a foreign key that is not enforced refers to a parent all the same
CREATE TABLE box (id int PRIMARY KEY, updated_at timestamptz);
CREATE TABLE toy (id int PRIMARY KEY, box_id int REFERENCES box NOT ENFORCED);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON toy FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
INSERT INTO toy VALUES (1, 1);
INSERT INTO box VALUES (1);
UPDATE toy SET id = 2;
SELECT updated_at IS NOT NULL FROM box;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
