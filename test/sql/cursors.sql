--
-- Cursors: they show live rows, and what a cursor shows is settled when it is
-- declared.
--
CREATE SCHEMA soft;
SET search_path = soft;
CREATE TABLE post (id int PRIMARY KEY, title text, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 9) AS i;
DELETE FROM post WHERE id % 3 = 0;
\pset format unaligned
\pset tuples_only on
\set QUIET off

-- forwards and backwards
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, title FROM post ORDER BY id;
FETCH 2 FROM c;
FETCH LAST FROM c;
FETCH PRIOR FROM c;
FETCH ABSOLUTE 3 FROM c;
MOVE BACKWARD ALL FROM c;
FETCH ALL FROM c;
COMMIT;

-- insensitive: a cursor shows what was live when it was declared
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post ORDER BY id;
FETCH 1 FROM c;
DELETE FROM post WHERE id IN (2, 4);
FETCH ALL FROM c;
DECLARE d CURSOR FOR SELECT id FROM post ORDER BY id;
FETCH ALL FROM d;
ROLLBACK;

-- a setting that changes does not reach into an open cursor
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post ORDER BY id;
FETCH 1 FROM c;
SET LOCAL orm_ext.deleted_rows = 'show';
FETCH 2 FROM c;
DECLARE d CURSOR FOR SELECT id FROM post ORDER BY id;
FETCH 3 FROM d;
SET LOCAL orm_ext.deleted_rows = 'hide';
FETCH ALL FROM c;
FETCH ALL FROM d;
COMMIT;

-- WITH HOLD
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM post ORDER BY id;
FETCH 1 FROM held;
COMMIT;
DELETE FROM post WHERE id = 8;
SET orm_ext.deleted_rows = 'only';
FETCH ALL FROM held;
CLOSE held;
RESET orm_ext.deleted_rows;
DECLARE held_scroll SCROLL CURSOR WITH HOLD FOR SELECT id FROM post;
FETCH LAST FROM held_scroll;
FETCH FIRST FROM held_scroll;
CLOSE held_scroll;

-- FOR UPDATE and WHERE CURRENT OF
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post WHERE id < 6 FOR UPDATE;
FETCH 1 FROM c;
DELETE FROM post WHERE CURRENT OF c RETURNING *;
FETCH 1 FROM c;
UPDATE post SET title = title || '!' WHERE CURRENT OF c RETURNING *;
DELETE FROM post WHERE CURRENT OF c RETURNING *;
UPDATE post SET title = 'zombie' WHERE CURRENT OF c RETURNING *;
FETCH 1 FROM c;
SELECT id FROM post ORDER BY id;
ROLLBACK;
-- without FOR UPDATE it works as long as the scan is simple, ours included
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post;
FETCH 2 FROM c;
DELETE FROM post WHERE CURRENT OF c;
DELETE FROM post WHERE CURRENT OF c;
SELECT id FROM post ORDER BY id;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post ORDER BY title DESC;
FETCH 1 FROM c;
DELETE FROM post WHERE CURRENT OF c;
ROLLBACK;
-- and on a row that is in the bin, for a cursor that shows the bin
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM post WHERE deleted_at IS NOT NULL ORDER BY id FOR UPDATE;
FETCH 1 FROM c;
DELETE FROM post WHERE CURRENT OF c;
UPDATE post SET deleted_at = NULL WHERE CURRENT OF c RETURNING *;
DELETE FROM post WHERE CURRENT OF c RETURNING *;
ROLLBACK;
\set QUIET on

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
