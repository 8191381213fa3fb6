--
-- Partitioned tables of two uncommon kinds: the marker is the partition key,
-- and the policy stands on one partition only.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\pset format unaligned
\pset tuples_only on

--
-- The marker is the partition key: deleted rows have a partition of their own,
-- and live queries look at no other
--
CALL compare.in_both($$
	CREATE TABLE note (id int, word text, deleted_at timestamptz) PARTITION BY RANGE (deleted_at);
	CREATE TABLE note_live PARTITION OF note DEFAULT;
	CREATE TABLE note_bin (deleted_at timestamptz, word text, id int);
	ALTER TABLE note ATTACH PARTITION note_bin FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
	INSERT INTO note SELECT i, 'word ' || i FROM generate_series(1, 9) AS i;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.note
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT compare.effect('DELETE FROM note WHERE id < 4 RETURNING *');
\set QUIET off
DELETE FROM soft.note WHERE id < 4;
DELETE FROM soft.note WHERE id < 4;
\set QUIET on
DELETE FROM twin.note WHERE id < 4;
SELECT compare.rows('SELECT * FROM note');
SELECT compare.rows('SELECT * FROM note_bin');
SELECT compare.effect('UPDATE note SET word = upper(word)');
SELECT count(*) FROM soft.note_bin WHERE deleted_at IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT id FROM soft.note WHERE word = 'word 7';
UPDATE soft.note SET deleted_at = NULL WHERE id = 2;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.note_live;
-- from the bin it is final
DELETE FROM soft.note WHERE deleted_at IS NOT NULL AND id = 3 RETURNING id;
SELECT count(*) FROM soft.note_bin WHERE deleted_at IS NOT NULL;

--
-- The policy stands on one partition only: reading works; deleting through
-- the parent cannot be soft here and real there
--
CREATE TABLE soft.part (id int, kind text, deleted_at timestamptz) PARTITION BY LIST (kind);
CREATE TABLE soft.part_a PARTITION OF soft.part FOR VALUES IN ('a');
CREATE TABLE soft.part_b (deleted_at timestamptz, kind text, id int);
ALTER TABLE soft.part ATTACH PARTITION soft.part_b FOR VALUES IN ('b');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.part_b
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO soft.part SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 8) AS i;
DELETE FROM soft.part_b WHERE id < 5;
DELETE FROM soft.part_a WHERE id < 3;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.part;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.part_b;
SELECT string_agg(p.id::text, ' ' ORDER BY p.id) FROM soft.part AS p LEFT JOIN soft.part AS q ON q.id = p.id;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM (SELECT id FROM soft.part UNION ALL SELECT id FROM soft.part_b) AS u;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.part WHERE deleted_at IS NOT NULL;
UPDATE soft.part SET kind = kind;
DELETE FROM soft.part WHERE id = 5;
\echo SQLSTATE :SQLSTATE
DELETE FROM soft.part WHERE kind = 'a';
MERGE INTO soft.part AS p USING (SELECT 5 AS id) AS v ON v.id = p.id WHEN MATCHED THEN DELETE;
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
DELETE FROM soft.part WHERE id = 5;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.part;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
