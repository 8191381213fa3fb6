--
-- Deferrable constraints: checks wait as long as the server's would, actions do
-- not, and what has been put right meanwhile is no error.
--
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at';
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE at_end (id int PRIMARY KEY, up int CONSTRAINT at_end_fk REFERENCES parent DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
	CREATE TABLE at_once (id int PRIMARY KEY, up int CONSTRAINT at_once_fk REFERENCES parent DEFERRABLE, deleted_at timestamptz);
	CREATE TABLE never (id int PRIMARY KEY, up int CONSTRAINT never_fk REFERENCES parent, deleted_at timestamptz);
	CREATE TABLE strict (id int PRIMARY KEY, up int CONSTRAINT strict_fk REFERENCES parent ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
	CREATE TABLE down (id int PRIMARY KEY, up int CONSTRAINT down_fk REFERENCES parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
	CREATE TABLE below (id int PRIMARY KEY, up int CONSTRAINT below_fk REFERENCES down DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
	CREATE TABLE plain (id int PRIMARY KEY, up int CONSTRAINT plain_fk REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
	INSERT INTO parent SELECT generate_series(1, 9);
	INSERT INTO at_end VALUES (1, 1);
	INSERT INTO at_once VALUES (2, 2);
	INSERT INTO never VALUES (3, 3);
	INSERT INTO strict VALUES (4, 4);
	INSERT INTO down VALUES (5, 5), (6, 6);
	INSERT INTO below VALUES (6, 6);
	INSERT INTO plain VALUES (7, 7);
$$);
SELECT compare.manage('parent', 'at_end', 'at_once', 'never', 'strict', 'down', 'below');

--
-- Up to the end of a statement, and up to SET CONSTRAINTS
--
SELECT compare.fk('DELETE FROM parent WHERE id = ' || id) FROM generate_series(1, 7) AS id;
SELECT compare.fk('DELETE FROM parent WHERE id = ' || id || '; SET CONSTRAINTS ALL IMMEDIATE') FROM generate_series(1, 7) AS id;
SELECT compare.fk('SET CONSTRAINTS ALL DEFERRED; DELETE FROM parent WHERE id = ' || id) FROM generate_series(1, 7) AS id;
SELECT compare.fk('SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM parent WHERE id = ' || id) FROM generate_series(1, 7) AS id;
SELECT compare.fk(format('UPDATE parent SET deleted_at = now() WHERE id = %1$s; SET CONSTRAINTS ALL IMMEDIATE', id), format('DELETE FROM parent WHERE id = %1$s; SET CONSTRAINTS ALL IMMEDIATE', id)) FROM generate_series(1, 7) AS id;
-- of several violations the first row's is told, as it would be; after SET CONSTRAINTS, checks that can be deferred come last
SELECT compare.changes('DELETE FROM parent; SET CONSTRAINTS at_end_fk IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 7); SET CONSTRAINTS plain_fk IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; SET CONSTRAINTS plain_fk IMMEDIATE');
SELECT compare.fk('SET CONSTRAINTS at_once_fk DEFERRED; DELETE FROM parent WHERE id = 2; SET CONSTRAINTS at_end_fk IMMEDIATE');
SELECT compare.fk('SET CONSTRAINTS at_once_fk DEFERRED; DELETE FROM parent WHERE id = 2; SET CONSTRAINTS at_once_fk IMMEDIATE');
SELECT compare.fk('SET CONSTRAINTS never_fk DEFERRED');
-- what is put right
SELECT compare.fk('DELETE FROM parent WHERE id = 1; DELETE FROM at_end WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; UPDATE at_end SET up = 2; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; UPDATE at_end SET up = NULL; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; UPDATE at_end SET up = up; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; UPDATE parent SET deleted_at = NULL WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE', 'DELETE FROM parent WHERE id = 1; INSERT INTO parent VALUES (1); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 6; DELETE FROM below; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 7; DELETE FROM plain; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 6; UPDATE below SET up = 5; SET CONSTRAINTS ALL IMMEDIATE');
-- what is made wrong
SELECT compare.fk('INSERT INTO at_end VALUES (8, 8); DELETE FROM parent WHERE id = 8; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO at_end VALUES (8, 8)');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO at_end VALUES (8, 8); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO at_end VALUES (8, 8); DELETE FROM at_end WHERE id = 8; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO at_end VALUES (8, 8); UPDATE at_end SET up = 9 WHERE id = 8; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO at_end VALUES (8, 8); UPDATE parent SET deleted_at = NULL WHERE id = 8; SET CONSTRAINTS ALL IMMEDIATE', 'DELETE FROM parent WHERE id = 8; INSERT INTO at_end VALUES (8, 8); INSERT INTO parent VALUES (8); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO at_once VALUES (8, 8)');
SELECT compare.fk('SET CONSTRAINTS ALL DEFERRED; DELETE FROM parent WHERE id = 8; INSERT INTO at_once VALUES (8, 8)');
SELECT compare.fk('SET CONSTRAINTS ALL DEFERRED; DELETE FROM parent WHERE id = 8; INSERT INTO at_once VALUES (8, 8); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO down VALUES (8, 8); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('INSERT INTO down VALUES (8, 8); DELETE FROM parent WHERE id = 8; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 8; INSERT INTO plain VALUES (8, 8); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; DELETE FROM parent WHERE id = 2; SET CONSTRAINTS ALL IMMEDIATE');
-- in subtransactions
SELECT compare.fk($q$DO $f$
BEGIN
	BEGIN
		DELETE FROM parent WHERE id = 1;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	SET CONSTRAINTS ALL IMMEDIATE;
END
$f$$q$);
SELECT compare.fk($q$DO $f$
BEGIN
	DELETE FROM parent WHERE id = 1;
	BEGIN
		SET CONSTRAINTS ALL IMMEDIATE;
	EXCEPTION WHEN foreign_key_violation THEN
		DELETE FROM at_end;
	END;
	SET CONSTRAINTS ALL IMMEDIATE;
END
$f$$q$);
SELECT compare.fk($q$DO $f$
BEGIN
	DELETE FROM parent WHERE id = 1;
	BEGIN
		DELETE FROM at_end;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	SET CONSTRAINTS ALL IMMEDIATE;
END
$f$$q$);

--
-- Up to COMMIT
--
SET search_path = soft;
\set QUIET off
BEGIN;
DELETE FROM parent WHERE id = 1;
COMMIT;
DELETE FROM parent WHERE id = 1;
UPDATE parent SET deleted_at = now() WHERE id = 1;
WITH d AS (DELETE FROM parent WHERE id IN (1, 8)) SELECT 1;
DO $$BEGIN DELETE FROM parent WHERE id = 1; END$$;
SELECT id FROM parent WHERE id IN (1, 8) ORDER BY id;
BEGIN;
DELETE FROM parent WHERE id = 6;
SELECT id FROM down WHERE id = 6;
COMMIT;
SELECT id FROM down WHERE id = 6;
BEGIN;
DELETE FROM parent WHERE id = 1;
SAVEPOINT s;
DELETE FROM at_end;
RELEASE s;
COMMIT;
SELECT id FROM parent WHERE id = 1;
BEGIN;
DELETE FROM parent WHERE id = 7;
SAVEPOINT s;
DELETE FROM plain;
ROLLBACK TO s;
COMMIT;
SELECT id FROM parent WHERE id = 7;
BEGIN;
SAVEPOINT s;
DELETE FROM parent WHERE id = 7;
ROLLBACK TO s;
COMMIT;
BEGIN;
DELETE FROM parent WHERE id = 8;
INSERT INTO at_end VALUES (8, 8);
COMMIT;
BEGIN;
DELETE FROM parent WHERE id = 8;
INSERT INTO at_end VALUES (8, 8);
UPDATE parent SET deleted_at = NULL WHERE id = 8;
COMMIT;
SELECT id FROM at_end;
-- a row that comes back before its parent
BEGIN;
DELETE FROM at_end WHERE id = 8;
DELETE FROM parent WHERE id = 8;
UPDATE at_end SET deleted_at = NULL WHERE id = 8;
COMMIT;
BEGIN;
DELETE FROM at_end WHERE id = 8;
DELETE FROM parent WHERE id = 8;
UPDATE at_end SET deleted_at = NULL WHERE id = 8;
UPDATE parent SET deleted_at = NULL WHERE id = 8;
COMMIT;
SELECT id FROM at_end;
-- tables that are made, changed and dropped in between
BEGIN;
DELETE FROM parent WHERE id = 8;
DROP TABLE at_end;
COMMIT;
BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY, up int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
SELECT compare.manage('fresh');
INSERT INTO fresh VALUES (9, 9);
DELETE FROM parent WHERE id = 9;
COMMIT;
SELECT id FROM parent WHERE id = 9;
\set QUIET on
RESET search_path;
SELECT compare.dangling();

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
