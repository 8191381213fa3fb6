--
-- Partitioned tables: the policy is the parent's and goes down to partitions
-- of any column order; a partition can also be read and written by itself.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, word text, deleted_at timestamptz, n int DEFAULT 0) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (deleted_at timestamptz, spare int, n int DEFAULT 0, word text, kind text, id int);
	ALTER TABLE event_b DROP COLUMN spare;
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	CREATE TABLE event_c PARTITION OF event FOR VALUES IN ('c', 'd') PARTITION BY RANGE (id);
	CREATE TABLE event_c_low PARTITION OF event_c FOR VALUES FROM (0) TO (20);
	CREATE TABLE event_c_high (n int DEFAULT 0, id int, deleted_at timestamptz, kind text, word text);
	ALTER TABLE event_c ATTACH PARTITION event_c_high FOR VALUES FROM (20) TO (100);
	INSERT INTO event SELECT i, substr('abcd', i % 4 + 1, 1), 'word ' || i % 5 FROM generate_series(1, 40) AS i;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.event
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT "table", "column" FROM orm_ext.managed ORDER BY "table"::text;
\pset format unaligned
\pset tuples_only on

-- deleting
SELECT compare.effect('DELETE FROM event WHERE id % 3 = 0');
SELECT compare.effect('DELETE FROM event WHERE id % 3 = 0 RETURNING *');
SELECT compare.effect('DELETE FROM event WHERE id % 3 = 0 RETURNING event');
SELECT compare.effect('DELETE FROM event WHERE id % 3 = 0 RETURNING tableoid = ''event_b''::regclass, kind, id');
SELECT compare.effect('DELETE FROM event WHERE kind = ''b'' RETURNING *');
SELECT compare.effect('DELETE FROM event_b WHERE id < 10 RETURNING *');
SELECT compare.effect('DELETE FROM event_c WHERE id BETWEEN 15 AND 25 RETURNING *');
SELECT compare.effect('DELETE FROM event_c_high RETURNING event_c_high');
SELECT compare.effect('DELETE FROM event USING event_b AS b WHERE b.id = event.id + 1 RETURNING *');
SELECT compare.effect('DELETE FROM event_b USING event AS e WHERE e.id = event_b.id + 1 AND e.kind <> ''d'' RETURNING *');
SELECT compare.effect('WITH d AS (DELETE FROM event WHERE id > 30 RETURNING *) INSERT INTO event SELECT id - 30, ''a'', word FROM d');
SELECT compare.effect('DELETE FROM ONLY event');
CALL compare.in_both('DELETE FROM event WHERE id % 3 = 0');
CALL compare.in_both('DELETE FROM event_b WHERE id < 10');
SELECT count(*), count(DISTINCT deleted_at) FROM soft.event WHERE deleted_at IS NOT NULL AND id % 3 = 0;
SELECT compare.effect('DELETE FROM event WHERE id % 3 = 0');

-- reading
SELECT compare.rows('SELECT * FROM event');
SELECT compare.rows('SELECT event FROM event WHERE kind IN (''b'', ''c'')');
SELECT compare.rows('SELECT * FROM event_b');
SELECT compare.rows('SELECT * FROM event_c');
SELECT compare.rows('SELECT * FROM event_c_high AS e LEFT JOIN event_b AS b ON b.id = e.id - 1');
SELECT compare.rows('SELECT e.id, f.id FROM event AS e FULL JOIN event AS f ON f.id = e.id + 1 AND f.kind = ''b''');
SELECT compare.rows('SELECT id FROM event UNION ALL SELECT id FROM event_b UNION ALL SELECT id FROM event_c WHERE word = ''word 1''');
SELECT compare.rows('SELECT count(*) FROM (SELECT id, kind FROM event UNION ALL SELECT id, word FROM event_c_low) AS u WHERE kind < ''c''');
SELECT compare.rows('SELECT kind, count(*) FROM event GROUP BY ROLLUP (kind)');
SELECT compare.rows('SELECT id FROM event WHERE id NOT IN (SELECT id + 1 FROM event_b)');
SELECT compare.rows('SELECT id FROM event ORDER BY id DESC LIMIT 5');
SELECT compare.rows('SELECT id FROM event WHERE id = 14 FOR UPDATE');
SELECT compare.rows('SELECT * FROM ONLY event');
SET enable_partitionwise_join = on;
SET enable_partitionwise_aggregate = on;
SELECT compare.rows('SELECT e.kind, count(*), count(f.id) FROM event AS e LEFT JOIN event AS f ON f.kind = e.kind AND f.id = e.id + 4 GROUP BY e.kind');
RESET enable_partitionwise_join;
RESET enable_partitionwise_aggregate;

-- updating: rows move between partitions, live and dead ones stay what they are
SELECT compare.effect('UPDATE event SET n = n + 1');
SELECT compare.effect('UPDATE event SET kind = ''b'' WHERE kind = ''a'' RETURNING *');
SELECT compare.effect('UPDATE event SET id = id + 10 WHERE kind = ''c'' RETURNING *');
SELECT compare.effect('UPDATE event_b SET word = ''changed''');
SELECT compare.effect('UPDATE event_c SET id = 99 - id');
BEGIN;
UPDATE soft.event SET kind = 'a' WHERE deleted_at IS NOT NULL AND kind = 'b';
SELECT kind, count(*) FROM soft.event WHERE deleted_at IS NOT NULL GROUP BY kind ORDER BY kind;
UPDATE soft.event SET kind = 'b', deleted_at = NULL WHERE kind = 'a' AND id < 10;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.event_b;
ROLLBACK;

-- prepared, with partitions pruned when the statement is run
SET search_path = soft;
SET plan_cache_mode = force_generic_plan;
PREPARE of_kind (text) AS SELECT string_agg(id::text, ' ' ORDER BY id) FROM event WHERE kind = $1;
PREPARE leave (text, int) AS DELETE FROM event WHERE kind = $1 AND id < $2 RETURNING *;
EXECUTE of_kind ('b');
EXECUTE of_kind ('c');
BEGIN;
EXECUTE leave ('b', 15);
EXECUTE leave ('b', 15);
EXECUTE leave ('c', 23);
ROLLBACK;
RESET plan_cache_mode;

-- columns are renamed on the parent, and their arguments everywhere
ALTER TABLE event RENAME COLUMN deleted_at TO gone;
SELECT "table", "column" FROM orm_ext.managed ORDER BY "table"::text;
EXECUTE of_kind ('b');
DELETE FROM event_b WHERE id = 13;
EXECUTE of_kind ('b');
ALTER TABLE event DROP COLUMN gone;
\echo SQLSTATE :SQLSTATE
BEGIN;
ALTER TABLE event DROP COLUMN gone CASCADE;
SELECT count(*) FROM orm_ext.managed;
SELECT count(*) FROM event;
ROLLBACK;
ALTER TABLE event_b RENAME COLUMN gone TO deleted_at;
ALTER TABLE event ALTER COLUMN gone TYPE text;
ALTER TABLE event ALTER COLUMN gone TYPE timestamp;
EXECUTE of_kind ('b');
ALTER TABLE event RENAME COLUMN gone TO deleted_at;

-- a table that is attached comes under the policy, with the rows that it has
CREATE TABLE event_e (deleted_at timestamp, id int, kind text, n int, word text);
INSERT INTO event_e VALUES (NULL, 101, 'e'), (now(), 102, 'e');
SELECT count(*) FROM event_e;
ALTER TABLE event ATTACH PARTITION event_e FOR VALUES IN ('e');
SELECT count(*) FROM event_e;
EXECUTE of_kind ('e');
DELETE FROM event_e WHERE id = 101;
EXECUTE of_kind ('e');
-- one that is detached is under no policy any more
ALTER TABLE event DETACH PARTITION event_e;
SELECT count(*) FROM event_e;
SELECT count(*) FROM orm_ext.managed WHERE "table" = 'event_e'::regclass;
-- unless it had one of its own
CREATE TRIGGER own BEFORE DELETE ON event_e FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT count(*) FROM event_e;
ALTER TABLE event ATTACH PARTITION event_e FOR VALUES IN ('e');
SELECT count(*) FROM event_e;
EXECUTE of_kind ('e');
ALTER TABLE event DETACH PARTITION event_e;
SELECT count(*) FROM event_e;
DROP TABLE event_e;
-- and that names another column: the two cannot both be right
CREATE TABLE event_i (id int, kind text, n int, word text, deleted_at timestamp);
ALTER TABLE event ADD COLUMN hidden timestamp;
ALTER TABLE event_i ADD COLUMN hidden timestamp;
CREATE TRIGGER own BEFORE DELETE ON event_i FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('hidden');
\set VERBOSITY sqlstate
ALTER TABLE event ATTACH PARTITION event_i FOR VALUES IN ('i');
\set VERBOSITY default
DROP TABLE event_i;
ALTER TABLE event DROP COLUMN hidden;
-- one of the same name makes way for that of the table, also below a partition that had one of its own
CREATE TABLE event_j (LIKE event) PARTITION BY RANGE (n);
CREATE TABLE event_j_low (LIKE event);
CREATE TRIGGER soft_delete BEFORE DELETE ON event_j FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON event_j_low FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
ALTER TABLE event_j ATTACH PARTITION event_j_low FOR VALUES FROM (0) TO (20);
ALTER TABLE event ATTACH PARTITION event_j FOR VALUES IN ('j');
CREATE TABLE event_j_high (LIKE event);
CREATE TRIGGER own BEFORE DELETE ON event_j_high FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
ALTER TABLE event_j ATTACH PARTITION event_j_high FOR VALUES FROM (20) TO (100);
SELECT tgrelid::regclass, tgname, tgparentid <> 0 AS cloned FROM pg_trigger
WHERE tgrelid IN ('event_j'::regclass, 'event_j_low'::regclass, 'event_j_high'::regclass) ORDER BY 1, 2;
INSERT INTO event VALUES (301, 'j', 1), (302, 'j', 30), (303, 'j', 31);
DELETE FROM event WHERE kind = 'j' AND id < 303;
EXECUTE of_kind ('j');
-- but not for one that declares another column, nor for who may not attach the table
CREATE TABLE event_k (LIKE event, hidden timestamp);
CREATE TRIGGER soft_delete BEFORE DELETE ON event_k FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('hidden');
ALTER TABLE event ADD COLUMN hidden timestamp;
ALTER TABLE event ATTACH PARTITION event_k FOR VALUES IN ('k');
CREATE TABLE event_l (LIKE event);
CREATE TRIGGER soft_delete BEFORE DELETE ON event_l FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE ROLE regress_orm_stranger;
GRANT USAGE, CREATE ON SCHEMA soft TO regress_orm_stranger;
ALTER TABLE event OWNER TO regress_orm_stranger;
SET ROLE regress_orm_stranger;
ALTER TABLE event ATTACH PARTITION event_l FOR VALUES IN ('l');
RESET ROLE;
ALTER TABLE event OWNER TO CURRENT_USER;
DROP TABLE event_j, event_k, event_l;
ALTER TABLE event DROP COLUMN hidden;
DROP OWNED BY regress_orm_stranger;
DROP ROLE regress_orm_stranger;
-- a partition below two partitions with a trigger of their own each
CREATE TABLE event_m (LIKE event) PARTITION BY RANGE (n);
CREATE TRIGGER own_m BEFORE DELETE ON event_m FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
ALTER TABLE event ATTACH PARTITION event_m FOR VALUES IN ('m');
CREATE TABLE event_m_low PARTITION OF event_m FOR VALUES FROM (0) TO (20);
INSERT INTO event VALUES (401, 'm', 1), (402, 'm', 2);
DELETE FROM event WHERE id = 401;
EXECUTE of_kind ('m');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'event_m_low'::regclass ORDER BY 1;
CREATE TABLE event_m_high (LIKE event);
ALTER TABLE event_m ATTACH PARTITION event_m_high FOR VALUES FROM (20) TO (40);
DROP TABLE event_m;
-- a table without the column cannot be attached, as ever
CREATE TABLE event_f (id int, kind text, n int, word text);
ALTER TABLE event ATTACH PARTITION event_f FOR VALUES IN ('f');
-- a new partition
CREATE TABLE event_g PARTITION OF event FOR VALUES IN ('g');
INSERT INTO event VALUES (201, 'g'), (202, 'g');
DELETE FROM event WHERE id = 201;
SELECT id FROM event_g;
-- a partition's trigger that is switched off
ALTER TABLE event_g DISABLE TRIGGER soft_delete;
SELECT id FROM event_g ORDER BY id;
SELECT count(*) FROM event WHERE kind = 'g';
ALTER TABLE event_g ENABLE TRIGGER soft_delete;
SELECT id FROM event_g ORDER BY id;
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
