--
-- orm_ext.restore(), restore_where() and restore_deletion(): deleted rows come
-- back with exactly what went with them.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
-- how many rows of each table are deleted; and, where all times are exact, which went together
CREATE VIEW deleted AS
SELECT rel, sum(rows) FROM orm_ext.deletions GROUP BY rel ORDER BY rel::text;
CREATE VIEW bin AS
SELECT dense_rank() OVER (ORDER BY deleted_at) AS deletion, rel, rows FROM orm_ext.deletions
ORDER BY deleted_at, rel::text;

--
-- All kinds of markers along a chain, in any time zone
--
CREATE TABLE a (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, deleted_at timestamp);
CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b ON DELETE CASCADE, deleted_at bigint NOT NULL DEFAULT 0);
CREATE TABLE d (id int PRIMARY KEY, c int REFERENCES c ON DELETE CASCADE, deleted boolean NOT NULL DEFAULT false);
CREATE TABLE e (id int PRIMARY KEY, d int REFERENCES d ON DELETE CASCADE, deleted_at timestamptz(3));
CREATE TABLE f (id int PRIMARY KEY, e int REFERENCES e ON DELETE CASCADE, deleted_at timestamp(0));
SELECT count(*) FROM unnest('{a,b,c,e,f}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
SELECT count(*) FROM orm_ext.enable_soft_delete('d', 'deleted');
INSERT INTO a SELECT generate_series(1, 3);
INSERT INTO b SELECT i, (i + 1) / 2 FROM generate_series(1, 6) AS i;
INSERT INTO c SELECT i, i FROM generate_series(1, 6) AS i;
INSERT INTO d SELECT i, i FROM generate_series(1, 6) AS i;
INSERT INTO e SELECT i, i FROM generate_series(1, 6) AS i;
INSERT INTO f SELECT i, i FROM generate_series(1, 6) AS i;
SELECT compare.contents('soft') AS before \gset
SET timezone = 'Asia/Kathmandu';
DELETE FROM a WHERE id = 1;
SELECT pg_sleep(0.01);
DELETE FROM a WHERE id = 2;
SET timezone = 'America/St_Johns';
SELECT * FROM deleted;
SELECT * FROM orm_ext.restore_preview('a', 1);
SELECT * FROM orm_ext.restore('a', 1);
SELECT * FROM deleted;
-- from the middle of the chain: what is above is still deleted
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('c', 3)$$);
SELECT * FROM orm_ext.restore('a', 2);
SELECT compare.contents('soft') = :'before';
SELECT * FROM deleted;
-- from each kind of marker downwards
CREATE FUNCTION there_and_back(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text[] := compare.contents('soft');
	result text;
BEGIN
	EXECUTE format('DELETE FROM %I WHERE id = 4', name);
	SELECT string_agg(r.rel || ' ' || r.rows, ', ') INTO result FROM orm_ext.restore(name::regclass, 4) AS r;
	RETURN result || CASE WHEN compare.contents('soft') = before THEN ', as before' ELSE ', NOT as before' END;
END
$$;
SELECT there_and_back(t) FROM unnest('{b,c,d,e,f}'::text[]) AS t;
-- a DELETE of the application's own making carries its time along
UPDATE a SET deleted_at = '2020-02-02 02:02:02.202020Z' WHERE id = 3;
SELECT deleted_at = '2020-02-02 02:02:02.202020Z', rel, rows FROM orm_ext.deletions ORDER BY rel::text;
SELECT * FROM orm_ext.restore('a', 3);
SELECT compare.contents('soft') = :'before';
RESET timezone;

--
-- What was deleted before stays deleted, and what is left of a deletion too
--
DELETE FROM b WHERE id = 1;
SELECT pg_sleep(0.01);
DELETE FROM a WHERE id = 1;
SELECT * FROM deleted;
SELECT * FROM orm_ext.restore('a', 1);
SELECT * FROM deleted;
DELETE FROM a WHERE id = 1;
SELECT pg_sleep(0.01);
SELECT * FROM orm_ext.restore('a', 1);
SELECT * FROM orm_ext.restore('b', 1);
SELECT compare.contents('soft') = :'before';
-- both in one transaction
BEGIN;
DELETE FROM b WHERE id = 1;
DELETE FROM a WHERE id = 1;
SELECT * FROM orm_ext.restore('a', 1) WHERE rel = 'b'::regclass;
COMMIT;
SELECT * FROM orm_ext.restore('b', 1);
SELECT compare.contents('soft') = :'before';
-- but boolean markers know the transaction only
BEGIN;
DELETE FROM d WHERE id = 1;
SELECT pg_sleep(0.01);
DELETE FROM c WHERE id = 1;
COMMIT;
SELECT * FROM orm_ext.restore('c', 1);
SELECT * FROM orm_ext.restore('e', 1);
SELECT compare.contents('soft') = :'before';

--
-- Several at once
--
DELETE FROM a WHERE id < 3;
SELECT * FROM orm_ext.restore_where('b', 'id = 1');
SELECT * FROM orm_ext.restore_preview_where('a', 'id < 3');
SELECT * FROM orm_ext.restore_where('a', 'id < 3 -- and no more');
DELETE FROM a WHERE id = 1;
SELECT pg_sleep(0.01);
DELETE FROM a WHERE id = 2;
SELECT * FROM orm_ext.restore_where('a', 'true');
SELECT compare.contents('soft') = :'before';
SELECT * FROM orm_ext.restore_where('a', 'true');
-- the condition is that of a query of the table
DELETE FROM a;
BEGIN;
SELECT * FROM orm_ext.restore_where('a', 'a.id IN (SELECT b.a FROM b WHERE orm_ext.with_deleted(b.deleted_at) AND b.id = 6)');
ROLLBACK;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('a', 'true) OR (true')$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('a', 'true; DROP TABLE a')$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('a', '')$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('a', 'nope = 1')$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('a', 'id = $1')$$);
-- a deletion, in whatever tables
SELECT max(deleted_at) AS stamp FROM orm_ext.deletions WHERE rel = 'a'::regclass \gset
SELECT * FROM orm_ext.restore_preview_deletion(:'stamp');
SELECT * FROM orm_ext.restore_deletion(:'stamp');
SELECT compare.contents('soft') = :'before';
SELECT * FROM orm_ext.restore_deletion(:'stamp');
SELECT * FROM orm_ext.restore_deletion('1999-09-09');
WITH x AS (DELETE FROM a WHERE id = 1), y AS (DELETE FROM e WHERE id = 6) DELETE FROM f WHERE id = 5;
SELECT * FROM deleted;
SELECT max(deleted_at) AS stamp FROM orm_ext.deletions WHERE rel = 'a'::regclass \gset
SELECT * FROM orm_ext.restore_deletion(:'stamp');
SELECT compare.contents('soft') = :'before';
DROP TABLE a, b, c, d, e, f;

--
-- Composite keys, a table that refers to itself, cycles
--
CREATE TABLE tree (x int, y text COLLATE "C", up_x int, up_y text, deleted_at timestamptz, PRIMARY KEY (x, y),
	FOREIGN KEY (up_x, up_y) REFERENCES tree ON DELETE CASCADE);
CREATE TABLE left_one (id int PRIMARY KEY, other int, deleted_at timestamptz);
CREATE TABLE right_one (id int PRIMARY KEY, other int REFERENCES left_one ON DELETE CASCADE, deleted_at timestamptz);
ALTER TABLE left_one ADD FOREIGN KEY (other) REFERENCES right_one ON DELETE CASCADE;
SELECT count(*) FROM unnest('{tree,left_one,right_one}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
INSERT INTO tree VALUES (1, 'it''s', NULL, NULL), (2, 'a', 1, 'it''s'), (3, 'b', 2, 'a'), (4, 'c', 3, 'b'), (5, 'd', 1, NULL);
UPDATE tree SET up_x = 4, up_y = 'c' WHERE x = 1;
INSERT INTO left_one VALUES (1, NULL), (2, NULL);
INSERT INTO right_one VALUES (1, 1), (2, 2);
UPDATE left_one SET other = 3 - id;
SELECT compare.contents('soft') AS before \gset
DELETE FROM tree WHERE x = 3;
SELECT * FROM bin;
SELECT * FROM orm_ext.restore('tree', '{"x": 2, "y": "a"}');
SELECT compare.contents('soft') = :'before';
DELETE FROM tree WHERE x = 3;
SELECT * FROM orm_ext.restore('tree', jsonb_build_object('y', 'it''s', 'x', 1));
DELETE FROM left_one WHERE id = 1;
SELECT * FROM bin;
SELECT * FROM orm_ext.restore_preview('right_one', 2);
SELECT * FROM orm_ext.restore('right_one', 2);
SELECT compare.contents('soft') = :'before';
-- in the transaction that has inserted and deleted the rows, for which the server checks more
CREATE TABLE ring (id int PRIMARY KEY, next int REFERENCES ring ON DELETE CASCADE DEFERRABLE, deleted_at timestamptz);
SELECT count(*) FROM orm_ext.enable_soft_delete('ring');
BEGIN;
INSERT INTO ring VALUES (1, 2), (2, 3), (3, 1);
DELETE FROM ring WHERE id = 1;
SELECT * FROM orm_ext.restore('ring', 1);
COMMIT;
DROP TABLE ring;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('tree', 2)$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('tree', '{"x": 2}')$$);

--
-- Only what a cascade takes along comes back; references that stayed are there
--
CREATE TABLE p (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE c_cascade (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE c_null (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL, deleted_at timestamptz);
CREATE TABLE c_restrict (id int PRIMARY KEY, p int REFERENCES p ON DELETE RESTRICT, deleted_at timestamptz);
CREATE TABLE c_off (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE c_plain (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE);
SELECT count(*) FROM unnest('{p,c_cascade,c_null,c_restrict}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
CREATE TRIGGER soft_delete BEFORE DELETE ON c_off FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
INSERT INTO p VALUES (1);
INSERT INTO c_cascade VALUES (1, 1);
INSERT INTO c_null VALUES (1, 1), (2, 1);
INSERT INTO c_restrict VALUES (1, 1);
INSERT INTO c_off VALUES (1, 1), (2, 1);
INSERT INTO c_plain VALUES (1, 1);
-- with the very stamp of the parent
BEGIN;
WITH x AS (DELETE FROM c_null WHERE id = 2), y AS (DELETE FROM c_restrict), z AS (DELETE FROM c_off WHERE id = 1)
DELETE FROM p;
ROLLBACK;
WITH x AS (DELETE FROM c_null WHERE id = 2), z AS (DELETE FROM c_off WHERE id = 1) DELETE FROM c_restrict;
UPDATE p SET deleted_at = c_restrict.deleted_at FROM c_restrict WHERE c_restrict.deleted_at IS NOT NULL;
SELECT * FROM bin;
SELECT * FROM orm_ext.restore('p', 1);
SELECT * FROM bin;
SELECT id, p FROM c_null;
-- and the restrictive ones after their parent only
DELETE FROM p;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('c_restrict', 1)$$);
SELECT r.* FROM p, orm_ext.restore_deletion(deleted_at) AS r WHERE deleted_at IS NOT NULL;
SELECT * FROM orm_ext.restore_where('c_restrict', 'true');
SELECT * FROM orm_ext.restore_where('c_null', 'true');
SELECT * FROM orm_ext.restore_where('c_off', 'true');
SELECT * FROM bin;

--
-- Partitions on both sides, by whatever key, and an index of one partition
--
CREATE TABLE parent (id int, region text, deleted_at timestamptz, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parent_north PARTITION OF parent FOR VALUES IN ('north');
CREATE TABLE parent_rest PARTITION OF parent DEFAULT PARTITION BY RANGE (id);
CREATE TABLE parent_south (deleted_at timestamptz, region text NOT NULL, id int NOT NULL);
ALTER TABLE parent_rest ATTACH PARTITION parent_south FOR VALUES FROM (1) TO (100);
CREATE TABLE child (id int PRIMARY KEY, parent_id int, region text, deleted boolean NOT NULL DEFAULT false,
	FOREIGN KEY (parent_id, region) REFERENCES parent ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE child_low (region text, id int NOT NULL, parent_id int, deleted boolean NOT NULL DEFAULT false);
ALTER TABLE child ATTACH PARTITION child_low FOR VALUES FROM (1) TO (4);
CREATE TABLE child_high PARTITION OF child DEFAULT;
CREATE TABLE toy (id int PRIMARY KEY, child_id int REFERENCES child_high ON DELETE CASCADE, deleted_at timestamptz);
SELECT count(*) FROM unnest('{parent,toy}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
SELECT count(*) FROM orm_ext.enable_soft_delete('child', 'deleted');
INSERT INTO parent VALUES (1, 'north'), (1, 'south'), (2, 'south');
INSERT INTO child SELECT i, CASE WHEN i = 6 THEN 2 ELSE 1 END, CASE WHEN i % 2 = 0 THEN 'south' ELSE 'north' END FROM generate_series(1, 6) AS i;
INSERT INTO toy VALUES (1, 4), (2, 5), (3, 6);
SELECT compare.contents('soft') AS before \gset
DELETE FROM parent WHERE id = 1;
SELECT * FROM deleted;
SELECT * FROM orm_ext.restore_preview('parent', '{"id": 1, "region": "south"}');
SELECT * FROM orm_ext.restore('parent', '{"id": 1, "region": "south"}');
SELECT * FROM orm_ext.restore('parent_north', '{"id": 1, "region": "north"}');
SELECT compare.contents('soft') = :'before';
DELETE FROM parent;
SELECT r.* FROM (SELECT max(deleted_at) FROM orm_ext.deletions) AS d (stamp), orm_ext.restore_deletion(stamp) AS r;
SELECT compare.contents('soft') = :'before';
-- rows that move back from the partition of deleted ones
CREATE TABLE note (id int, deleted_at timestamptz) PARTITION BY RANGE (deleted_at);
CREATE TABLE note_bin PARTITION OF note FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE TABLE note_live PARTITION OF note DEFAULT;
CREATE TRIGGER soft_delete BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO note VALUES (1), (2), (3);
DELETE FROM note WHERE id < 3;
SELECT tableoid::regclass, id FROM note WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
SELECT * FROM orm_ext.restore_where('note', 'id = 1');
SELECT tableoid::regclass, id FROM note WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('note', 2)$$);
-- inheritance children go with their parent, and come back with it
CREATE TABLE animal (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE dog (PRIMARY KEY (id)) INHERITS (animal);
CREATE TABLE bone (id int PRIMARY KEY, dog int REFERENCES dog ON DELETE CASCADE, animal int REFERENCES animal ON DELETE CASCADE, deleted_at timestamptz);
SELECT count(*) FROM unnest('{animal,bone}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
INSERT INTO animal VALUES (1);
INSERT INTO dog VALUES (1), (2);
INSERT INTO bone VALUES (1, 1, NULL), (2, NULL, 1), (3, 2, NULL);
SELECT compare.contents('soft') AS before \gset
DELETE FROM animal WHERE id = 1;
SELECT rel, rows FROM bin WHERE rel IN ('animal'::regclass, 'dog'::regclass, 'bone'::regclass);
SELECT * FROM orm_ext.restore('animal', 1);
SELECT compare.contents('soft') = :'before';
DELETE FROM animal WHERE id = 1;
SELECT * FROM orm_ext.restore('dog', 1);
SELECT * FROM orm_ext.restore('animal', 1);
SELECT compare.contents('soft') = :'before';

DROP SCHEMA soft CASCADE;
