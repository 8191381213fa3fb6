--
-- Foreign keys of every shape: to their own table, in a circle, of several
-- columns, with nulls, to and from partitions, between markers of different
-- types, from tables that are not managed, and switched off.
--
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at removed_at gone dead null_id';

--
-- Its own table
--
CALL compare.in_both($$
	CREATE TABLE tree (id int PRIMARY KEY, parent_id int REFERENCES tree ON DELETE CASCADE, deleted_at timestamptz);
	INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 1), (4, 2), (5, 4), (6, NULL), (7, 7), (8, 6);
	CREATE TABLE boss (id int PRIMARY KEY, boss_id int REFERENCES boss, deleted_at timestamptz);
	INSERT INTO boss VALUES (1, NULL), (2, 1), (3, 2), (4, 4);
	CREATE TABLE strict (id int PRIMARY KEY, boss_id int REFERENCES strict ON DELETE RESTRICT, deleted_at timestamptz);
	INSERT INTO strict VALUES (1, NULL), (2, 1), (3, 2), (4, 4);
	CREATE TABLE loose (id int PRIMARY KEY, null_id int REFERENCES loose ON DELETE SET NULL, deleted_at timestamptz);
	INSERT INTO loose VALUES (1, NULL), (2, 1), (3, 2), (4, 4);
	CREATE TABLE chain (id int PRIMARY KEY, next int REFERENCES chain ON DELETE CASCADE, deleted_at timestamptz);
	INSERT INTO chain SELECT i, NULLIF(i - 1, 0) FROM generate_series(1, 300) AS i;
$$);
SELECT compare.manage('tree', 'boss', 'strict', 'loose', 'chain');
SELECT compare.fk('DELETE FROM tree WHERE id = 1');
SELECT compare.fk('DELETE FROM tree WHERE id = 4');
SELECT compare.fk('DELETE FROM tree WHERE id IN (2, 5, 8)');
SELECT compare.fk('DELETE FROM tree WHERE id = 7');
SELECT compare.fk('DELETE FROM tree');
SELECT compare.fk('DELETE FROM tree WHERE id IN (1, 6) RETURNING *');
SELECT compare.fk('WITH d AS (DELETE FROM tree WHERE id = 2 RETURNING id) DELETE FROM tree USING d WHERE tree.id = d.id + 4');
SELECT compare.fk('UPDATE tree SET deleted_at = now() WHERE id IN (2, 6)', 'DELETE FROM tree WHERE id IN (2, 6)');
SELECT compare.fk('DELETE FROM boss WHERE id = 2');
SELECT compare.fk('DELETE FROM boss WHERE id = 3');
SELECT compare.fk('DELETE FROM boss WHERE id = 4');
SELECT compare.fk('DELETE FROM boss WHERE id >= 2');
SELECT compare.fk('DELETE FROM boss WHERE id <= 2');
SELECT compare.fk('DELETE FROM boss');
SELECT compare.fk('UPDATE boss SET deleted_at = now()', 'DELETE FROM boss');
SELECT compare.fk('DELETE FROM strict WHERE id = 2');
SELECT compare.fk('DELETE FROM strict WHERE id = 3');
SELECT compare.fk('DELETE FROM strict WHERE id = 4');
SELECT compare.fk('DELETE FROM strict WHERE id IN (2, 3)');
SELECT compare.fk('DELETE FROM strict');
SELECT compare.fk('UPDATE strict SET deleted_at = now() WHERE id IN (2, 3)', 'DELETE FROM strict WHERE id IN (2, 3)');
SELECT compare.fk('DELETE FROM loose WHERE id IN (1, 4)');
SELECT replace(compare.fk('DELETE FROM chain WHERE id = 1'), (SELECT string_agg(i::text, ' ' ORDER BY i) FROM generate_series(1, 300) AS i), '1 ... 300');
-- what has gone before is left alone
CALL compare.in_both('DELETE FROM tree WHERE id = 4');
SELECT compare.fk('DELETE FROM tree WHERE id = 1');

--
-- Circles
--
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE a (id int PRIMARY KEY, b_id int, deleted_at timestamptz);
	CREATE TABLE b (id int PRIMARY KEY, c_id int, deleted_at timestamptz);
	CREATE TABLE c (id int PRIMARY KEY, a_id int REFERENCES a ON DELETE CASCADE, deleted_at timestamptz);
	ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b ON DELETE CASCADE;
	ALTER TABLE b ADD FOREIGN KEY (c_id) REFERENCES c ON DELETE CASCADE;
	INSERT INTO a VALUES (1), (2), (3);
	INSERT INTO c VALUES (1, 1), (2, 2), (3, 3), (4, 1);
	INSERT INTO b VALUES (1, 1), (2, 2), (3, 3), (5, 4);
	UPDATE a SET b_id = id % 3 + 1;
	-- two ways to the same rows
	CREATE TABLE top (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE side_1 (id int PRIMARY KEY, top_id int REFERENCES top ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE side_2 (id int PRIMARY KEY, top_id int REFERENCES top ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE both_sides (id int PRIMARY KEY, one int REFERENCES side_1 ON DELETE CASCADE, two int REFERENCES side_2 ON DELETE CASCADE, deleted_at timestamptz);
	-- one way takes what the other would have kept, if it comes first
	CREATE TABLE side_r (id int PRIMARY KEY, top_id int REFERENCES top ON DELETE CASCADE, one int REFERENCES side_1 ON DELETE RESTRICT, deleted_at timestamptz);
	CREATE TABLE side_n (id int PRIMARY KEY, top_id int REFERENCES top ON DELETE CASCADE, one int REFERENCES side_1, deleted_at timestamptz);
	INSERT INTO top VALUES (1), (2), (3), (4);
	INSERT INTO side_1 SELECT i, i FROM generate_series(1, 4) AS i;
	INSERT INTO side_2 SELECT i, i FROM generate_series(1, 4) AS i;
	INSERT INTO both_sides VALUES (1, 1, 1), (2, 1, 2), (3, NULL, 1);
	INSERT INTO side_r VALUES (3, 3, 3);
	INSERT INTO side_n VALUES (4, 4, 4);
$$);
SELECT compare.manage('a', 'b', 'c', 'top', 'side_1', 'side_2', 'both_sides', 'side_r', 'side_n');
SELECT compare.fk('DELETE FROM a WHERE id = 1');
SELECT compare.fk('DELETE FROM b WHERE id = 5');
SELECT compare.fk('UPDATE b SET deleted_at = now() WHERE id = 1', 'DELETE FROM b WHERE id = 1');
SELECT compare.fk('DELETE FROM top WHERE id = 1');
SELECT compare.fk('DELETE FROM top WHERE id = 2');
SELECT compare.fk('DELETE FROM top WHERE id = 3');
SELECT compare.fk('DELETE FROM top WHERE id = 4');
SELECT compare.fk('DELETE FROM top');
SELECT compare.fk('DELETE FROM side_1 WHERE id IN (3, 4)');
-- the order of the actions is that of the constraints
CALL compare.in_both($$
	CREATE TABLE early (id int PRIMARY KEY, top_id int REFERENCES top ON DELETE RESTRICT, deleted_at timestamptz);
	CREATE TABLE late (id int PRIMARY KEY, one int REFERENCES side_1 ON DELETE RESTRICT, deleted_at timestamptz);
	INSERT INTO early VALUES (2, 2);
	INSERT INTO late VALUES (2, 2);
$$);
SELECT compare.manage('early', 'late');
SELECT compare.fk('DELETE FROM top WHERE id = 2');
SELECT compare.fk('DELETE FROM side_1 WHERE id = 2');

--
-- Several columns, in another order, of other types, with nulls
--
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE place (id int UNIQUE, region int, city varchar(10), PRIMARY KEY (city, region), deleted_at timestamptz);
	INSERT INTO place VALUES (1, 1, 'x'), (2, 1, 'y'), (3, 2, 'x');
	CREATE TABLE by_simple (id int PRIMARY KEY, r int, c text, deleted_at timestamptz,
		CONSTRAINT simple_fk FOREIGN KEY (r, c) REFERENCES place (region, city) ON DELETE CASCADE);
	INSERT INTO by_simple VALUES (1, 1, 'x'), (2, 1, 'y'), (3, NULL, 'x'), (4, 1, NULL), (5, NULL, NULL), (6, 2, 'x');
	CREATE TABLE by_full (id int PRIMARY KEY, r bigint, c text, deleted_at timestamptz,
		CONSTRAINT full_fk FOREIGN KEY (c, r) REFERENCES place (city, region) MATCH FULL ON DELETE CASCADE);
	INSERT INTO by_full VALUES (1, 1, 'x'), (2, 1, 'y'), (3, NULL, NULL), (4, 2, 'x');
	CREATE TABLE kept (id int PRIMARY KEY, r smallint, c text, deleted_at timestamptz,
		CONSTRAINT kept_fk FOREIGN KEY (r, c) REFERENCES place (region, city));
	INSERT INTO kept VALUES (1, 2, 'x'), (2, 1, NULL), (3, NULL, 'y');
	-- values that are equal and read otherwise
	CREATE TABLE money (id int UNIQUE, amount numeric PRIMARY KEY, deleted_at timestamptz);
	INSERT INTO money VALUES (1, 1.0), (2, 2.50);
	CREATE TABLE paid (id int PRIMARY KEY, amount numeric(10, 3) REFERENCES money ON DELETE CASCADE, deleted_at timestamptz);
	INSERT INTO paid VALUES (1, 1), (2, 2.5);
	-- names that need quotes; a column that was dropped
	CREATE TABLE "Pa""rent" (id int, gone_1 int, "the key" int UNIQUE, "order" text, deleted_at timestamptz);
	ALTER TABLE "Pa""rent" DROP COLUMN gone_1;
	INSERT INTO "Pa""rent" VALUES (1, 1), (2, 2);
	CREATE TABLE "chi ld" (id int PRIMARY KEY, "select" int CONSTRAINT "f""k" REFERENCES "Pa""rent" ("the key") ON DELETE CASCADE, deleted_at timestamptz);
	INSERT INTO "chi ld" VALUES (1, 1), (2, 2);
	CREATE TABLE "Kept" (id int PRIMARY KEY, "select" int CONSTRAINT "k k" REFERENCES "Pa""rent" ("the key"), deleted_at timestamptz);
	INSERT INTO "Kept" VALUES (2, 2);
$$);
SELECT compare.manage('place', 'by_simple', 'by_full', 'kept', 'money', 'paid', 'Pa"rent', 'chi ld', 'Kept');
SELECT compare.fk('DELETE FROM place WHERE id = 1');
SELECT compare.fk('DELETE FROM place WHERE id <= 2');
SELECT compare.fk('DELETE FROM place WHERE id = 3');
SELECT compare.fk('DELETE FROM money');
SELECT compare.fk('DELETE FROM money WHERE amount = 2.5');
SELECT compare.fk('DELETE FROM "Pa""rent" WHERE id = 1');
SELECT compare.fk('DELETE FROM "Pa""rent"');
-- two foreign keys between the same tables, one on the same columns
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE person (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE letter (id int PRIMARY KEY, sender int REFERENCES person ON DELETE CASCADE, receiver int REFERENCES person ON DELETE RESTRICT, deleted_at timestamptz);
	INSERT INTO person VALUES (1), (2), (3);
	INSERT INTO letter VALUES (1, 1, 2), (2, 2, 2), (3, 3, 3);
	CREATE TABLE twice (id int PRIMARY KEY, person_id int REFERENCES person ON DELETE CASCADE REFERENCES person, deleted_at timestamptz);
	INSERT INTO person VALUES (4);
	INSERT INTO twice VALUES (1, 4);
$$);
SELECT compare.manage('person', 'letter', 'twice');
SELECT compare.fk('DELETE FROM person WHERE id = 1');
SELECT compare.fk('DELETE FROM person WHERE id = 2');
SELECT compare.fk('DELETE FROM person WHERE id = 3');
SELECT compare.fk('DELETE FROM person WHERE id = 4');
SELECT compare.fk('DELETE FROM person WHERE id IN (1, 2)');

--
-- Partitions on either side
--
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE region (id int PRIMARY KEY, v int, deleted_at timestamptz) PARTITION BY RANGE (id);
	CREATE TABLE region_1 PARTITION OF region FOR VALUES FROM (0) TO (10);
	CREATE TABLE region_2 (deleted_at timestamptz, spare int, v int, id int NOT NULL) PARTITION BY RANGE (id);
	ALTER TABLE region_2 DROP COLUMN spare;
	ALTER TABLE region ATTACH PARTITION region_2 FOR VALUES FROM (10) TO (30);
	CREATE TABLE region_20 PARTITION OF region_2 FOR VALUES FROM (10) TO (20);
	CREATE TABLE region_21 (v int, id int NOT NULL, deleted_at timestamptz);
	ALTER TABLE region_2 ATTACH PARTITION region_21 FOR VALUES FROM (20) TO (30);
	CREATE TABLE shop (id int, region_id int REFERENCES region ON DELETE CASCADE, boss int, deleted_at timestamptz, PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE shop_1 PARTITION OF shop FOR VALUES FROM (0) TO (100);
	CREATE TABLE shop_2 (boss int, deleted_at timestamptz, spare int, id int NOT NULL, region_id int);
	ALTER TABLE shop_2 DROP COLUMN spare;
	ALTER TABLE shop ATTACH PARTITION shop_2 FOR VALUES FROM (100) TO (200);
	CREATE TABLE stall (id int PRIMARY KEY, shop_id int REFERENCES shop ON DELETE RESTRICT, deleted_at timestamptz);
	CREATE TABLE goods (id int PRIMARY KEY, shop_id int REFERENCES shop ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE office (id int, region_id int REFERENCES region, deleted_at timestamptz) PARTITION BY HASH (id);
	CREATE TABLE office_1 PARTITION OF office FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE office_2 PARTITION OF office FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	-- a foreign key of one partition alone, and to one partition alone
	CREATE TABLE alone (id int PRIMARY KEY, region_id int REFERENCES region_1 ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE boss_of_2 (id int PRIMARY KEY, deleted_at timestamptz);
	ALTER TABLE shop_2 ADD FOREIGN KEY (boss) REFERENCES boss_of_2 ON DELETE CASCADE;
$$);
CALL compare.in_both($$
	INSERT INTO region SELECT i FROM generate_series(1, 29) AS i;
	INSERT INTO boss_of_2 VALUES (1);
	INSERT INTO shop VALUES (1, 1), (2, 11), (3, 21), (4, 2), (101, 1), (102, 11), (103, 21), (104, 3);
	UPDATE shop SET boss = 1 WHERE id IN (3, 103);
	INSERT INTO stall VALUES (1, 4), (2, 104);
	INSERT INTO goods VALUES (1, 1), (2, 101), (3, 102), (4, 3);
	INSERT INTO office VALUES (1, 5), (2, 15), (3, 25);
	INSERT INTO alone VALUES (1, 1), (6, 6);
$$);
SELECT compare.manage('region', 'shop', 'stall', 'goods', 'office', 'alone', 'boss_of_2');
SELECT compare.fk('DELETE FROM region WHERE id = 1');
SELECT compare.fk('DELETE FROM region WHERE id IN (6, 11, 21)');
SELECT compare.fk('DELETE FROM region WHERE id IN (2, 1)');
SELECT compare.fk('DELETE FROM region WHERE id = 3');
SELECT compare.fk('DELETE FROM region WHERE id = 5');
SELECT compare.fk('DELETE FROM region WHERE id = 15');
SELECT compare.fk('DELETE FROM region WHERE id = 25');
SELECT compare.fk('DELETE FROM region_1 WHERE id = 1');
SELECT compare.fk('DELETE FROM region_2 WHERE id IN (11, 21)');
SELECT compare.fk('DELETE FROM region_21 WHERE id = 21 RETURNING *');
SELECT compare.fk('DELETE FROM region_21 WHERE id = 25');
SELECT compare.fk('DELETE FROM ONLY region WHERE id = 1');
SELECT compare.fk('UPDATE region SET deleted_at = now() WHERE id IN (1, 11, 21)', 'DELETE FROM region WHERE id IN (1, 11, 21)');
SELECT compare.fk('UPDATE region_20 SET deleted_at = now() WHERE id = 15', 'DELETE FROM region_20 WHERE id = 15');
SELECT compare.fk('MERGE INTO region USING (VALUES (1), (21)) AS s (k) ON id = k WHEN MATCHED THEN DELETE');
SELECT compare.fk('DELETE FROM shop WHERE region_id = 1');
SELECT compare.fk('DELETE FROM shop_2');
SELECT compare.fk('DELETE FROM shop_2 WHERE id < 104');
SELECT compare.fk('DELETE FROM boss_of_2');
-- a row that moves is not deleted, wherever it goes
SELECT compare.fk('UPDATE shop SET id = 150 WHERE id = 2');
SELECT compare.fk('UPDATE region SET id = 0 WHERE id = 29');
-- one that is marked on the way is
SELECT compare.fk('UPDATE shop SET id = 150, deleted_at = now() WHERE id = 2', 'DELETE FROM shop WHERE id = 2');
SELECT compare.fk('UPDATE region SET id = 0, deleted_at = now() WHERE id = 29', 'DELETE FROM region WHERE id = 29');
-- a detached partition is a table of its own, which is not managed any more
SET search_path = soft;
SELECT compare.changes('UPDATE stall SET shop_id = NULL; UPDATE goods SET shop_id = NULL WHERE shop_id > 100; ALTER TABLE shop DETACH PARTITION shop_2; DELETE FROM region WHERE id = 1');
RESET search_path;
SELECT compare.fk('ALTER TABLE office DETACH PARTITION office_2; DELETE FROM region WHERE id IN (5, 15, 25)');
-- new references to and from partitions
CALL compare.in_both('DELETE FROM region WHERE id IN (7, 17, 27)');
SELECT compare.fk('INSERT INTO shop VALUES (9, 7)');
SELECT compare.fk('INSERT INTO shop VALUES (109, 17)');
SELECT compare.fk('INSERT INTO shop_2 (id, region_id) VALUES (109, 27)');
SELECT compare.fk('INSERT INTO shop VALUES (109, 28)');
SELECT compare.fk('UPDATE shop SET region_id = 17 WHERE id = 101');
SELECT compare.fk('INSERT INTO alone VALUES (7, 7)');
SELECT compare.fk('UPDATE shop SET id = 150, region_id = 27 WHERE id = 2');

-- partitions by the marker: whoever is deleted, or comes back, moves
CALL compare.in_both($$
	CREATE TABLE ticket (id int, region_id int REFERENCES region ON DELETE CASCADE, deleted_at timestamptz) PARTITION BY RANGE (deleted_at);
	CREATE TABLE ticket_live PARTITION OF ticket DEFAULT;
	CREATE TABLE ticket_gone PARTITION OF ticket FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
	INSERT INTO ticket VALUES (1, 5), (2, 6), (3, 9), (4, 8);
$$);
SELECT compare.manage('ticket');
SELECT compare.fk('DELETE FROM ticket WHERE id = 1');
SELECT compare.fk('DELETE FROM region WHERE id IN (6, 8)');
SELECT compare.fk('UPDATE ticket SET deleted_at = now() WHERE id = 2', 'DELETE FROM ticket WHERE id = 2');
SELECT compare.keep('DELETE FROM region WHERE id IN (6, 8)');
SELECT compare.fk('INSERT INTO ticket VALUES (5, 6)');
SELECT tableoid::regclass, id FROM soft.ticket WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
UPDATE soft.ticket SET deleted_at = NULL WHERE id = 2 AND deleted_at IS NOT NULL;
UPDATE soft.region SET deleted_at = NULL WHERE id = 6;
UPDATE soft.ticket SET deleted_at = NULL WHERE id = 2 AND deleted_at IS NOT NULL;
SELECT tableoid::regclass, id FROM soft.ticket WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;

--
-- Inheritance: a foreign key sees one table
--
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE base (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE derived (PRIMARY KEY (id)) INHERITS (base);
	CREATE TABLE of_base (id int PRIMARY KEY, base_id int REFERENCES base ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE of_base_2 (PRIMARY KEY (id)) INHERITS (of_base);
	INSERT INTO base VALUES (1), (2);
	INSERT INTO derived VALUES (1), (3);
	INSERT INTO of_base VALUES (1, 1), (2, 2);
	INSERT INTO of_base_2 VALUES (11, 1);
$$);
SELECT compare.manage('base', 'derived', 'of_base', 'of_base_2');
SELECT compare.fk('DELETE FROM base WHERE id = 1');
SELECT compare.fk('DELETE FROM ONLY base WHERE id = 1');
SELECT compare.fk('DELETE FROM derived WHERE id = 1');

--
-- Markers of all types in a chain; the stamp is the same as far as a marker can tell
--
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE m_at (id int PRIMARY KEY, up int, deleted_at timestamptz);
	CREATE TABLE m_on (id int PRIMARY KEY, up int REFERENCES m_at ON DELETE CASCADE, removed_at timestamp);
	CREATE TABLE m_num (id int PRIMARY KEY, up int REFERENCES m_on ON DELETE CASCADE, dead bigint NOT NULL DEFAULT 0);
	CREATE TABLE m_bool (id int PRIMARY KEY, up int REFERENCES m_num ON DELETE CASCADE, gone boolean NOT NULL DEFAULT false);
	CREATE TABLE m_last (id int PRIMARY KEY, up int REFERENCES m_bool ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE m_sec (id int PRIMARY KEY, up int REFERENCES m_at ON DELETE CASCADE, removed_at timestamp(0));
	ALTER TABLE m_at ADD FOREIGN KEY (up) REFERENCES m_last ON DELETE CASCADE;
	CREATE TABLE m_keep (id int PRIMARY KEY, up int REFERENCES m_bool, dead bigint NOT NULL DEFAULT 0);
	INSERT INTO m_at SELECT i FROM generate_series(1, 3) AS i;
	INSERT INTO m_on SELECT i, i FROM generate_series(1, 3) AS i;
	INSERT INTO m_num SELECT i, i FROM generate_series(1, 3) AS i;
	INSERT INTO m_bool SELECT i, i FROM generate_series(1, 3) AS i;
	INSERT INTO m_last SELECT i, i FROM generate_series(1, 3) AS i;
	UPDATE m_at SET up = 1 WHERE id = 1;
	INSERT INTO m_keep VALUES (3, 3);
$$);
SELECT compare.manage('m_at', 'm_on:removed_at', 'm_num:dead', 'm_bool:gone', 'm_last', 'm_sec:removed_at', 'm_keep:dead');
SELECT compare.fk('DELETE FROM m_at WHERE id = 1');
SELECT compare.fk('DELETE FROM m_on WHERE id = 1');
SELECT compare.fk('DELETE FROM m_num WHERE id = 1');
SELECT compare.fk('DELETE FROM m_bool WHERE id = 1');
SELECT compare.fk('DELETE FROM m_last WHERE id = 1');
SELECT compare.fk('DELETE FROM m_at WHERE id = 3');
SELECT compare.fk('UPDATE m_bool SET gone = true WHERE id = 1', 'DELETE FROM m_bool WHERE id = 1');
SELECT compare.fk('UPDATE m_num SET dead = 86400000000 WHERE id = 1', 'DELETE FROM m_num WHERE id = 1');
SELECT compare.fk('UPDATE m_on SET removed_at = ''2001-01-01 00:00:00.5'' WHERE id = 1', 'DELETE FROM m_on WHERE id = 1');
CALL compare.in_both('INSERT INTO m_sec VALUES (1, 2)');
BEGIN;
UPDATE soft.m_at SET deleted_at = '2001-02-03 04:05:06.789012+00' WHERE id = 2;
SELECT removed_at FROM soft.m_on WHERE removed_at IS NOT NULL;
SELECT dead FROM soft.m_num WHERE dead > 0;
SELECT gone FROM soft.m_bool WHERE gone;
SELECT deleted_at FROM soft.m_last WHERE deleted_at IS NOT NULL;
SELECT removed_at FROM soft.m_sec WHERE removed_at IS NOT NULL;
ROLLBACK;
-- a marker that says when, of those after one that does not: the time of the statement
BEGIN;
UPDATE soft.m_bool SET gone = true WHERE id = 1;
SELECT deleted_at BETWEEN now() AND clock_timestamp(), deleted_at = (SELECT deleted_at FROM soft.m_at WHERE deleted_at IS NOT NULL) FROM soft.m_last WHERE deleted_at IS NOT NULL;
ROLLBACK;
SET timezone = 'Asia/Kolkata';
BEGIN;
UPDATE soft.m_at SET deleted_at = '2001-02-03 04:05:06.789012+00' WHERE id = 2;
SELECT removed_at FROM soft.m_on WHERE removed_at IS NOT NULL;
SELECT dead FROM soft.m_num WHERE dead > 0;
SELECT deleted_at FROM soft.m_last WHERE deleted_at IS NOT NULL;
ROLLBACK;
SET timezone = 'UTC';

--
-- Tables that are not managed
--
CALL compare.start_over();
CALL compare.in_both($$
	CREATE TABLE managed (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE plain_restrict (id int PRIMARY KEY, up int REFERENCES managed ON DELETE RESTRICT);
	CREATE TABLE plain_nothing (id int PRIMARY KEY, up int REFERENCES managed);
	CREATE TABLE plain_null (id int PRIMARY KEY, null_id int REFERENCES managed ON DELETE SET NULL);
	INSERT INTO managed VALUES (1), (2), (3), (4);
	INSERT INTO plain_restrict VALUES (1, 1);
	INSERT INTO plain_nothing VALUES (2, 2);
	INSERT INTO plain_null VALUES (3, 3);
$$);
SELECT compare.manage('managed');
SELECT compare.fk('DELETE FROM managed WHERE id = 1');
SELECT compare.fk('DELETE FROM managed WHERE id = 2');
SELECT compare.fk('DELETE FROM managed WHERE id = 3');
SELECT compare.fk('DELETE FROM managed WHERE id >= 3');
SELECT compare.fk('UPDATE managed SET deleted_at = now() WHERE id = 2', 'DELETE FROM managed WHERE id = 2');
CALL compare.in_both('DELETE FROM managed WHERE id = 4');
SELECT compare.fk('INSERT INTO plain_nothing VALUES (4, 4)');
SELECT compare.fk('INSERT INTO plain_null VALUES (4, 4)');
SELECT compare.fk('UPDATE plain_restrict SET up = 4');
-- rows that would go with it stay, as they are
CREATE TABLE soft.plain_cascade (id int PRIMARY KEY, up int REFERENCES soft.managed ON DELETE CASCADE);
INSERT INTO soft.plain_cascade VALUES (3, 3);
BEGIN;
DELETE FROM soft.managed WHERE id = 3;
SELECT * FROM soft.plain_cascade;
-- they can be changed, but for a new reference to a deleted row
UPDATE soft.plain_cascade SET id = 33;
UPDATE soft.plain_cascade SET id = 34, up = up;
UPDATE soft.plain_cascade SET up = 4;
ROLLBACK;
DROP TABLE soft.plain_cascade;
-- a plain parent deletes its managed children for good, as the server does
CALL compare.in_both($$
	CREATE TABLE plain_parent (id int PRIMARY KEY);
	CREATE TABLE managed_child (id int PRIMARY KEY, up int REFERENCES plain_parent ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE managed_grandchild (id int PRIMARY KEY, up int REFERENCES managed_child ON DELETE CASCADE, deleted_at timestamptz);
	INSERT INTO plain_parent VALUES (1), (2);
	INSERT INTO managed_child VALUES (1, 1), (2, 2);
	INSERT INTO managed_grandchild VALUES (1, 1), (2, 2);
$$);
SELECT compare.manage('managed_child', 'managed_grandchild');
SELECT compare.fk('DELETE FROM plain_parent WHERE id = 1');
SELECT compare.fk('DELETE FROM managed_child WHERE id = 1');

--
-- Switched off, on either side
--
CALL compare.start_over();
CREATE TABLE soft.off_parent (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE soft.on_child (id int PRIMARY KEY, up int REFERENCES soft.off_parent ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE soft.on_guard (id int PRIMARY KEY, up int REFERENCES soft.off_parent, deleted_at timestamptz);
CREATE TABLE soft.on_parent (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE soft.off_child (id int PRIMARY KEY, up int REFERENCES soft.on_parent ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE soft.off_guard (id int PRIMARY KEY, up int REFERENCES soft.on_parent, deleted_at timestamptz);
CREATE TABLE soft.on_other (id int PRIMARY KEY, up int REFERENCES soft.on_parent ON DELETE CASCADE, off int REFERENCES soft.off_child ON DELETE CASCADE, deleted_at timestamptz);
SELECT compare.manage('on_child', 'on_guard', 'on_parent', 'on_other');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.off_parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.off_child FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.off_guard FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
INSERT INTO soft.off_parent VALUES (1), (2);
INSERT INTO soft.on_child VALUES (1, 1);
INSERT INTO soft.on_guard VALUES (1, 1);
INSERT INTO soft.on_parent VALUES (1), (2);
INSERT INTO soft.off_child VALUES (1, 1);
INSERT INTO soft.off_guard VALUES (1, 1);
INSERT INTO soft.on_other VALUES (1, 1, 1), (2, NULL, 1);
SET search_path = soft;
SELECT compare.changes('DELETE FROM off_parent');
SELECT compare.changes('DELETE FROM on_parent');
SELECT compare.changes('DELETE FROM off_child');
SELECT compare.changes('DELETE FROM off_parent; INSERT INTO on_child VALUES (2, 2); UPDATE on_guard SET up = 2; UPDATE off_parent SET deleted_at = NULL WHERE id = 1');
SELECT compare.changes('DELETE FROM on_parent; INSERT INTO off_child VALUES (2, 2); UPDATE off_guard SET up = 2');
SELECT compare.changes('DELETE FROM on_parent WHERE id = 2; INSERT INTO on_other VALUES (3, 2)');
SELECT compare.changes('DELETE FROM off_child; INSERT INTO on_other VALUES (3, NULL, 1)');
-- switched on and off again
CREATE OR REPLACE TRIGGER soft_delete BEFORE DELETE ON off_parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=on');
SELECT compare.changes('DELETE FROM off_parent WHERE id = 1');
SELECT compare.changes('DELETE FROM on_guard; DELETE FROM off_parent');
CREATE OR REPLACE TRIGGER soft_delete BEFORE DELETE ON off_parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
SELECT compare.changes('DELETE FROM off_parent WHERE id = 1');
-- with a call
SELECT count(*) FROM orm_ext.enable_soft_delete('off_child', foreign_keys => 'on');
SELECT compare.changes('DELETE FROM off_child');
SELECT count(*) FROM orm_ext.enable_soft_delete('off_child', foreign_keys => 'off');
SELECT compare.changes('DELETE FROM off_child');
-- no other value
SELECT * FROM compare.refusal('SELECT orm_ext.enable_soft_delete(''off_child'', foreign_keys => ''maybe'')');
SELECT * FROM compare.refusal('CREATE OR REPLACE TRIGGER orm_soft_delete BEFORE DELETE ON off_child FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(''deleted_at'', ''foreign_keys=maybe'')');
SELECT * FROM compare.refusal('CREATE OR REPLACE TRIGGER orm_soft_delete BEFORE DELETE ON off_child FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(''deleted_at'', ''foreign_key=off'')');

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
