--
-- New and changed references: a deleted row is none that can be referred to, in
-- whatever way a reference is written, and in the words that it would be refused
-- with if the row were gone.  What is deleted itself may refer to what it likes.
--
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at';
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE, deleted_at timestamptz);
	CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, v int DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE by_code (id int PRIMARY KEY, code text REFERENCES parent (code) ON DELETE SET NULL, parent_id int DEFAULT 2 REFERENCES parent ON DELETE SET DEFAULT, deleted_at timestamptz);
	CREATE TABLE plain (id int PRIMARY KEY, parent_id int REFERENCES parent, v int DEFAULT 0);
	INSERT INTO parent SELECT i, 'code ' || i FROM generate_series(1, 6) AS i;
	INSERT INTO child VALUES (1, 1), (3, 3), (4, NULL), (5, 5), (6, 6);
	INSERT INTO plain VALUES (1, 1), (4, NULL);
$$);
SELECT compare.manage('parent', 'child', 'by_code');
CALL compare.in_both('DELETE FROM parent WHERE id IN (2, 6)');

--
-- INSERT
--
SELECT compare.fk('INSERT INTO child VALUES (10, 1)');
SELECT compare.fk('INSERT INTO child VALUES (10, 2)');
SELECT compare.fk('INSERT INTO child VALUES (10, 9)');
SELECT compare.fk('INSERT INTO child VALUES (10, NULL)');
SELECT compare.fk('INSERT INTO child VALUES (10, 2) RETURNING *');
SELECT compare.fk('INSERT INTO child VALUES (10, 1), (11, 3), (12, 2), (13, 9)');
SELECT compare.fk('INSERT INTO child SELECT i + 10, i FROM generate_series(1, 5) AS i');
SELECT compare.fk('INSERT INTO child VALUES (10, 2) ON CONFLICT DO NOTHING');
SELECT compare.fk('INSERT INTO child VALUES (1, 2) ON CONFLICT DO NOTHING');
SELECT compare.fk('INSERT INTO child VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET v = 1');
SELECT compare.fk('INSERT INTO child VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET parent_id = 2');
SELECT compare.fk('INSERT INTO child VALUES (10, 2) ON CONFLICT (id) DO UPDATE SET v = 1');
SELECT compare.fk('WITH i AS (INSERT INTO child VALUES (10, 2) RETURNING id) SELECT * FROM i');
SELECT compare.fk('INSERT INTO by_code VALUES (10, ''code 1'', 1)');
SELECT compare.fk('INSERT INTO by_code VALUES (10, ''code 2'', 1)');
SELECT compare.fk('INSERT INTO by_code VALUES (10, ''code 1'')');
SELECT compare.fk('INSERT INTO by_code VALUES (10, ''code 2'', 2)');
SELECT compare.fk('INSERT INTO plain VALUES (10, 2)');
SELECT compare.fk('INSERT INTO plain VALUES (10, 1)');
-- parents and children in one statement; a new row that goes along at once is not looked at again (plain: 23503)
SELECT compare.fk('WITH p AS (INSERT INTO parent VALUES (10)) INSERT INTO child VALUES (10, 10)');
SELECT compare.changes('WITH d AS (DELETE FROM parent WHERE id = 3) INSERT INTO child VALUES (10, 3)');
SELECT compare.fk('WITH c AS (INSERT INTO child VALUES (10, 4)) DELETE FROM parent WHERE id = 4');
SELECT compare.fk('WITH c AS (INSERT INTO plain VALUES (10, 4)) DELETE FROM parent WHERE id = 4');
-- after an error the transaction goes on
SELECT compare.fk($q$DO $f$
BEGIN
	BEGIN
		INSERT INTO child VALUES (10, 2);
	EXCEPTION WHEN foreign_key_violation THEN
		INSERT INTO child VALUES (10, 1);
	END;
	BEGIN
		DELETE FROM parent WHERE id = 3;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO child VALUES (11, 3);
	END;
END
$f$$q$);
-- whatever the session sees
SET orm_ext.deleted_rows = 'show';
SELECT compare.fk('INSERT INTO child VALUES (10, 1)');
SELECT compare.fk('INSERT INTO child VALUES (10, 2)');
SELECT compare.fk('INSERT INTO plain VALUES (10, 2)');
SELECT compare.fk('UPDATE child SET parent_id = 2 WHERE id = 1');
SET orm_ext.deleted_rows = 'only';
SELECT compare.fk('INSERT INTO child VALUES (10, 1)');
SELECT compare.fk('INSERT INTO child VALUES (10, 2)');
SELECT compare.fk('INSERT INTO plain VALUES (10, 2)');
RESET orm_ext.deleted_rows;
SET orm_ext.delete_mode = 'hard';
SELECT compare.fk('INSERT INTO child VALUES (10, 1)');
SELECT compare.fk('INSERT INTO child VALUES (10, 2)');
RESET orm_ext.delete_mode;

--
-- UPDATE
--
SELECT compare.fk('UPDATE child SET parent_id = 2 WHERE id = 1');
SELECT compare.fk('UPDATE child SET parent_id = 3');
SELECT compare.fk('UPDATE child SET parent_id = id');
SELECT compare.fk('UPDATE child SET parent_id = 2 WHERE id = 4 RETURNING *');
SELECT compare.fk('UPDATE plain SET parent_id = 2');
SELECT compare.fk('UPDATE plain SET parent_id = 3');
SELECT compare.fk('MERGE INTO child USING (VALUES (1, 2)) AS s (k, p) ON id = k WHEN MATCHED THEN UPDATE SET parent_id = p');
SELECT compare.fk('MERGE INTO child USING (VALUES (10, 2)) AS s (k, p) ON id = k WHEN NOT MATCHED THEN INSERT (id, parent_id) VALUES (k, p)');
SELECT compare.fk('MERGE INTO child USING (VALUES (1, 3), (10, 5)) AS s (k, p) ON id = k WHEN MATCHED THEN UPDATE SET parent_id = p WHEN NOT MATCHED THEN INSERT (id, parent_id) VALUES (k, p)');
SELECT compare.fk('MERGE INTO plain USING (VALUES (1, 2)) AS s (k, p) ON id = k WHEN MATCHED THEN UPDATE SET parent_id = p');
-- to a row that this statement deletes (plain: 23503), or has deleted
SELECT compare.changes('WITH d AS (DELETE FROM parent WHERE id = 4) UPDATE child SET parent_id = 4 WHERE id = 1');
SELECT compare.fk('WITH u AS (UPDATE child SET parent_id = 4 WHERE id = 1) DELETE FROM parent WHERE id = 4');
SELECT compare.fk('DELETE FROM parent WHERE id = 4; UPDATE child SET parent_id = 4 WHERE id = 1');
-- references that stay, to a row that is deleted
CALL compare.in_both('INSERT INTO by_code VALUES (1, ''code 4'', 1), (2, ''code 3'', 1)');
BEGIN;
DELETE FROM soft.parent WHERE id = 4;
SELECT * FROM soft.by_code ORDER BY id;
-- they may stay as they are
UPDATE soft.by_code SET parent_id = 3 WHERE id = 1;
UPDATE soft.by_code SET code = code WHERE id = 1;
UPDATE soft.by_code SET id = 5 WHERE id = 1;
SAVEPOINT s;
UPDATE soft.by_code SET code = 'code 4' WHERE id = 2;
ROLLBACK TO s;
-- also in the transaction that has made the row, where the server checks every UPDATE
INSERT INTO soft.by_code VALUES (7, 'code 5', 1);
DELETE FROM soft.parent WHERE id = 5;
UPDATE soft.by_code SET parent_id = 3 WHERE id = 7;
ROLLBACK;
-- a key that changes takes references along, deleted ones too
SELECT compare.fk('UPDATE parent SET id = 13 WHERE id = 3');
BEGIN;
DELETE FROM soft.child WHERE id = 3;
UPDATE soft.parent SET id = 13 WHERE id = 3;
SELECT id, parent_id FROM soft.child WHERE deleted_at IS NOT NULL ORDER BY id;
UPDATE soft.parent SET id = 16 WHERE id = 6 AND deleted_at IS NOT NULL;
SELECT id, parent_id FROM soft.child WHERE deleted_at IS NOT NULL ORDER BY id;
ROLLBACK;
-- a key that is taken by a deleted row is not free, and one that is given up is
BEGIN;
UPDATE soft.parent SET id = 12 WHERE id = 2 AND deleted_at IS NOT NULL;
INSERT INTO soft.parent VALUES (2);
INSERT INTO soft.child VALUES (10, 2);
INSERT INTO soft.child VALUES (11, 12);
ROLLBACK;

--
-- COPY and bulk upsert
--
SET search_path = soft;
BEGIN;
COPY child (id, parent_id) FROM stdin;
10	1
11	2
\.
ROLLBACK;
COPY child (id, parent_id) FROM stdin;
20	1
\.
DELETE FROM child WHERE id = 20;
COPY plain (id, parent_id) FROM stdin;
10	2
\.
RESET search_path;
SELECT compare.fk('DO $f$BEGIN PERFORM orm_ext.bulk_upsert(''child'', ''[{"id": 1, "parent_id": 2}]''); END$f$', 'DO $f$BEGIN UPDATE child SET parent_id = 2 WHERE id = 1; END$f$');
SELECT compare.fk('DO $f$BEGIN PERFORM orm_ext.bulk_upsert(''child'', ''[{"id": 10, "parent_id": 1}, {"id": 11, "parent_id": 2}]''); END$f$', 'DO $f$BEGIN INSERT INTO child VALUES (10, 1), (11, 2); END$f$');
SELECT compare.fk('DO $f$BEGIN PERFORM orm_ext.bulk_upsert(''child'', ''[{"id": 10, "parent_id": 1}, {"id": 1, "parent_id": 3}]''); END$f$', 'DO $f$BEGIN UPDATE child SET parent_id = 3 WHERE id = 1; INSERT INTO child VALUES (10, 1); END$f$');
SELECT compare.fk('DO $f$BEGIN PERFORM orm_ext.bulk_upsert(''plain'', ''[{"id": 10, "parent_id": 1}, {"id": 1, "parent_id": 2}]''); END$f$', 'DO $f$BEGIN UPDATE plain SET parent_id = 2 WHERE id = 1; END$f$');
-- bringing a deleted row back by an upsert checks its references
BEGIN;
ALTER TABLE soft.child DROP CONSTRAINT child_pkey;
CREATE UNIQUE INDEX child_live ON soft.child (id) WHERE deleted_at IS NULL;
DELETE FROM soft.child WHERE id = 1;
SELECT inserted, updated FROM orm_ext.bulk_upsert('soft.child', '[{"id": 1, "v": 7}]', conflict => '{id}', on_deleted => 'revive');
SELECT id, parent_id, v FROM soft.child WHERE id = 1;
SELECT inserted, updated FROM orm_ext.bulk_upsert('soft.child', '[{"id": 6, "v": 7}]', conflict => '{id}', on_deleted => 'revive');
ROLLBACK;

--
-- A row that is deleted may refer to a deleted one; coming back, it has to have a parent
--
SET search_path = soft;
\set QUIET off
INSERT INTO child VALUES (30, 2, 0, now());
INSERT INTO child VALUES (21, 9, 0, now());
INSERT INTO child VALUES (22, 1, 0, now());
UPDATE child SET parent_id = 2 WHERE id = 22 AND deleted_at IS NOT NULL;
UPDATE child SET parent_id = 9 WHERE id = 22 AND deleted_at IS NOT NULL;
UPDATE child SET v = 1 WHERE id = 30 AND deleted_at IS NOT NULL;
INSERT INTO by_code VALUES (20, 'code 2', 2, now());
-- back, with its parent dead, gone, alive; references that may stay at a deleted row (by_code) are not looked at
UPDATE child SET deleted_at = NULL WHERE id = 30;
UPDATE child SET deleted_at = NULL, parent_id = 1 WHERE id = 30;
UPDATE child SET deleted_at = NULL, parent_id = 2 WHERE id = 22;
UPDATE child SET deleted_at = NULL, parent_id = NULL WHERE id = 22;
UPDATE child SET deleted_at = NULL WHERE id = 6;
UPDATE by_code SET deleted_at = NULL WHERE id = 20;
SELECT * FROM by_code WHERE id = 20;
UPDATE by_code SET code = NULL WHERE id = 20;
UPDATE by_code SET code = 'code 2' WHERE id = 20;
MERGE INTO child USING (SELECT 6) AS s (k) ON id = k AND orm_ext.with_deleted(deleted_at) WHEN MATCHED THEN UPDATE SET deleted_at = NULL;
INSERT INTO child VALUES (6) ON CONFLICT (id) DO UPDATE SET deleted_at = NULL;
-- back with it, in one statement and in one transaction
WITH p AS (UPDATE parent SET deleted_at = NULL WHERE id = 6) UPDATE child SET deleted_at = NULL WHERE id = 6;
SELECT id FROM child WHERE id = 6;
DELETE FROM parent WHERE id = 6;
BEGIN;
UPDATE parent SET deleted_at = NULL WHERE id = 6;
SELECT id FROM child WHERE id = 6;
UPDATE child SET deleted_at = NULL WHERE id = 6;
SELECT id FROM child WHERE id = 6;
COMMIT;
-- the row with its parent in the other order
DELETE FROM parent WHERE id = 6;
BEGIN;
UPDATE child SET deleted_at = NULL WHERE id = 6;
ROLLBACK;
-- dead on both ends, another time
UPDATE parent SET deleted_at = now() WHERE id = 6;
UPDATE child SET deleted_at = deleted_at + interval '1 s' WHERE id = 6;
-- a row that refers to itself
CREATE TABLE own (id int PRIMARY KEY, own_id int REFERENCES own ON DELETE CASCADE, deleted_at timestamptz);
SELECT compare.manage('own');
INSERT INTO own VALUES (1, 1), (2, 3), (3, 2);
DELETE FROM own;
UPDATE own SET deleted_at = NULL WHERE id = 1;
UPDATE own SET deleted_at = NULL WHERE id = 2;
UPDATE own SET deleted_at = NULL WHERE id IN (2, 3);
SELECT id FROM own ORDER BY id;
\set QUIET on
RESET search_path;
SELECT compare.dangling();

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
