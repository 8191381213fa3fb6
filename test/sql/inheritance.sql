--
-- Legacy inheritance: neither triggers nor indexes are inherited, so the policy
-- stands on the parent, on a child, or on both.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE doc (id int, title text, deleted_at timestamptz);
	CREATE TABLE letter (spare int, recipient text) INHERITS (doc);
	ALTER TABLE letter DROP COLUMN spare;
	CREATE TABLE report (deleted_at timestamptz, pages int, title text, id int);
	ALTER TABLE report INHERIT doc;
	CREATE TABLE annex (number int) INHERITS (report);
	INSERT INTO doc SELECT i, 'doc ' || i FROM generate_series(1, 6) AS i;
	INSERT INTO letter (id, title, recipient) SELECT i, 'letter ' || i, 'x' FROM generate_series(11, 16) AS i;
	INSERT INTO report (id, title, pages) SELECT i, 'report ' || i, i FROM generate_series(21, 26) AS i;
	INSERT INTO annex (id, title, number) SELECT i, 'annex ' || i, i FROM generate_series(31, 36) AS i;
$$);
\pset format unaligned
\pset tuples_only on

--
-- The whole tree, by enable_soft_delete()
--
SELECT orm_ext.enable_soft_delete('soft.doc');
SELECT compare.effect('DELETE FROM doc WHERE id % 2 = 0');
SELECT compare.effect('DELETE FROM doc WHERE id % 2 = 0 RETURNING *');
SELECT compare.effect('DELETE FROM doc WHERE id % 2 = 0 RETURNING doc, tableoid = ''report''::regclass');
SELECT compare.effect('DELETE FROM ONLY doc WHERE id % 2 = 0 RETURNING *');
SELECT compare.effect('DELETE FROM report WHERE id % 2 = 0 RETURNING *');
SELECT compare.effect('DELETE FROM ONLY report RETURNING *');
SELECT compare.effect('DELETE FROM annex RETURNING annex');
CALL compare.in_both('DELETE FROM doc WHERE id % 3 = 0');
CALL compare.in_both('DELETE FROM annex WHERE id = 31');
SELECT compare.rows('SELECT * FROM doc');
SELECT compare.rows('SELECT * FROM ONLY doc');
SELECT compare.rows('SELECT * FROM letter');
SELECT compare.rows('SELECT * FROM report');
SELECT compare.rows('SELECT annex FROM annex');
SELECT compare.rows('SELECT d.id, r.pages FROM doc AS d LEFT JOIN report AS r ON r.id = d.id + 10');
SELECT compare.rows('SELECT id FROM doc UNION ALL SELECT id FROM report UNION ALL SELECT number FROM annex');
SELECT compare.effect('UPDATE doc SET title = upper(title)');
SELECT compare.effect('UPDATE report SET pages = 0 RETURNING *');
SELECT compare.effect('MERGE INTO ONLY doc AS d USING generate_series(1, 40) AS g ON g = d.id WHEN MATCHED THEN DELETE');
SELECT count(*) FROM soft.doc WHERE deleted_at IS NOT NULL;
-- a column that is renamed is renamed everywhere
ALTER TABLE soft.doc RENAME COLUMN deleted_at TO gone;
SELECT "table", "column" FROM orm_ext.managed ORDER BY "table"::text;
SELECT count(*) FROM soft.annex;
ALTER TABLE soft.doc RENAME COLUMN gone TO deleted_at;
ALTER TABLE soft.doc DROP COLUMN deleted_at;
BEGIN;
ALTER TABLE soft.doc DROP COLUMN deleted_at CASCADE;
SELECT count(*) FROM orm_ext.managed;
ROLLBACK;
SET client_min_messages = error;
SELECT orm_ext.disable_soft_delete('soft.doc');
RESET client_min_messages;
SELECT count(*) FROM soft.doc;

--
-- The parent alone: queries on the parent go by its policy, for all of the
-- tree; queries on a child by the child's, which is none
--
UPDATE soft.doc SET deleted_at = NULL;
CALL compare.in_both('DELETE FROM doc');
CALL compare.in_both($$
	INSERT INTO doc SELECT i, 'doc ' || i FROM generate_series(1, 6) AS i;
	INSERT INTO report (id, title, pages) SELECT i, 'report ' || i, i FROM generate_series(21, 26) AS i;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.doc
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT compare.rows('SELECT * FROM doc');
\set QUIET off
DELETE FROM soft.doc WHERE id IN (1, 21) RETURNING *;
DELETE FROM soft.doc WHERE id IN (1, 21) RETURNING *;
\set QUIET on
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.doc;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.report;
DELETE FROM soft.report WHERE id = 22;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.doc WHERE deleted_at IS NULL OR deleted_at IS NOT NULL;

--
-- A child alone: its rows are filtered in queries on the parent too; deleting
-- through the parent cannot be soft here and real there
--
DROP TRIGGER soft_delete ON soft.doc;
UPDATE soft.doc SET deleted_at = NULL;
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.report
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
DELETE FROM soft.report WHERE id = 23;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.doc;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.report;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.doc WHERE deleted_at IS NOT NULL;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM (SELECT id FROM soft.doc UNION ALL SELECT id FROM soft.report) AS u;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM (TABLE soft.doc) AS d WHERE id NOT IN (SELECT id FROM soft.report);
UPDATE soft.doc SET title = 'new';
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.report WHERE title <> 'new' AND orm_ext.with_deleted(deleted_at);
DELETE FROM soft.doc WHERE id = 24;
\echo SQLSTATE :SQLSTATE
MERGE INTO soft.doc AS d USING (VALUES (24)) AS v (id) ON v.id = d.id WHEN MATCHED THEN DELETE;
DELETE FROM ONLY soft.doc WHERE id = 1;
DELETE FROM soft.letter;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.doc;
-- a column of its own: the parent does not have it
CREATE TABLE soft.memo (gone timestamptz) INHERITS (soft.letter);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.memo
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
INSERT INTO soft.memo (id) VALUES (41), (42);
DELETE FROM soft.memo WHERE id = 41;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.letter;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.letter WHERE deleted_at IS NULL;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.memo WHERE gone IS NOT NULL;
-- DROP and ALTER ... NO INHERIT leave the child its policy
ALTER TABLE soft.report NO INHERIT soft.doc;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.report;
DELETE FROM soft.doc WHERE id = 2;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
