--
-- What is new in PostgreSQL 18: RETURNING old and new, and generated columns
-- that are not stored.
--
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE post (
		id int PRIMARY KEY, title text, deleted_at timestamptz,
		state text GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN 'live' ELSE 'gone' END) VIRTUAL,
		stored text GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN 'live' ELSE 'gone' END) STORED,
		heading text GENERATED ALWAYS AS (upper(title)) VIRTUAL
	);
	INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 9) AS i;
	CREATE VIEW posts AS SELECT id AS key, title, state FROM post;
	CREATE TABLE event (id int, kind text, deleted_at timestamptz) PARTITION BY LIST (kind);
	CREATE TABLE event_a (deleted_at timestamptz, kind text, id int);
	ALTER TABLE event ATTACH PARTITION event_a FOR VALUES IN ('a');
	INSERT INTO event SELECT i, 'a' FROM generate_series(1, 9) AS i;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.event
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CALL compare.in_both('DELETE FROM post WHERE id > 6');
\pset format unaligned
\pset tuples_only on

-- a DELETE has an old row, and no new one
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING *');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING old.*, new.*');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING old, new');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING old IS NULL, new IS NULL, post');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING WITH (OLD AS o, NEW AS n) o.id, n.id, o.deleted_at, n.deleted_at, id, deleted_at');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING old.state, new.state, state, old.stored, new.stored, stored');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING old.id || coalesce(new.title, ''-''), (SELECT count(*) FROM post AS p WHERE p.id > old.id AND new.id IS NULL)');
SELECT compare.effect('DELETE FROM post WHERE id < 4 RETURNING old.tableoid IS NULL, new.tableoid IS NULL, old.ctid IS NULL, new.ctid IS NULL, heading, new.heading');
SELECT compare.effect('DELETE FROM posts WHERE key < 4 RETURNING *, old.*, new.*');
SELECT compare.effect('DELETE FROM posts WHERE key < 4 RETURNING old, new');
SELECT compare.effect('DELETE FROM posts WHERE key < 4 RETURNING old.key + 1, new.key + 1, coalesce(new.state, old.state)');
SELECT compare.effect('DELETE FROM event WHERE id < 4 RETURNING old.*, new.*, event, old, new');
SELECT compare.effect('DELETE FROM event_a WHERE id < 4 RETURNING old.*, new.*');
SELECT compare.effect('WITH d AS (DELETE FROM post WHERE id < 4 RETURNING old.title AS a, new.title AS b) SELECT count(a), count(b) FROM d');

-- an UPDATE has both
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id > 4 RETURNING old.title, new.title, heading');
-- and an upsert where it updates
SELECT compare.effect('INSERT INTO post (id, title) VALUES (1, ''y''), (11, ''z'') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING old.title, new.title, old IS NULL');

-- MERGE
SELECT compare.effect('MERGE INTO post AS p USING generate_series(1, 3) AS g ON g = p.id WHEN MATCHED THEN DELETE RETURNING merge_action(), old.*, new.*, p');
SELECT compare.effect('MERGE INTO post AS p USING generate_series(1, 12) AS g ON g = p.id + 3 WHEN MATCHED AND g < 6 THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''m'' WHEN NOT MATCHED AND g > 10 THEN INSERT (id, title) VALUES (g, ''new'') WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), old.title, new.title, state, old, new');

-- generated columns that are not stored, in reading
SELECT compare.rows('SELECT * FROM post WHERE state = ''live''');
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.post WHERE heading < 'POST 4';
-- one that depends on the marker does not mention it
SELECT count(*) FROM soft.post WHERE state = 'gone';
SELECT count(*) FROM soft.post WHERE stored = 'gone';
SELECT string_agg(id || ' ' || state || ' ' || stored, ', ' ORDER BY id) FROM soft.post WHERE deleted_at IS NOT NULL;

-- neither can be the marker
ALTER TABLE soft.post ADD COLUMN virtual_at timestamptz GENERATED ALWAYS AS (deleted_at) VIRTUAL;
DROP TRIGGER soft_delete ON soft.post;
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('virtual_at');
\echo SQLSTATE :SQLSTATE

-- a NOT NULL that is not valid does for no marker
CREATE TABLE soft.flag (id int, gone boolean);
INSERT INTO soft.flag VALUES (1, NULL), (2, false);
ALTER TABLE soft.flag ADD CONSTRAINT gone_not_null NOT NULL gone NOT VALID;
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.flag
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
\echo SQLSTATE :SQLSTATE
UPDATE soft.flag SET gone = false;
ALTER TABLE soft.flag VALIDATE CONSTRAINT gone_not_null;
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.flag
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
DELETE FROM soft.flag WHERE id = 1;
SELECT * FROM soft.flag;

-- temporal keys hold among all rows, as exclusion constraints do
CREATE TABLE soft.stay (room int4range, during daterange, CONSTRAINT stay_key UNIQUE (room, during WITHOUT OVERLAPS));
SELECT orm_ext.enable_soft_delete('soft.stay');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
