--
-- orm_ext.touch_parent(): a change of a child touches its parent, once for each
-- parent and transaction, when that commits.
--
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_writer;
CREATE SCHEMA soft;
GRANT USAGE ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE post (id int PRIMARY KEY, title text, updated_at timestamptz);
CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post ON UPDATE CASCADE ON DELETE CASCADE, body text);
INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 5) AS i;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON comment FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('post_id', 'updated_at');
-- every UPDATE of a parent
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = soft, pg_temp SET debug_discard_caches = 0 AS $$
BEGIN
	INSERT INTO log (line) SELECT tg_table_name || ' ' || (to_jsonb(new) ->> 'id') || CASE
		WHEN to_jsonb(old) - 'updated_at' <> to_jsonb(new) - 'updated_at' THEN ' changed' ELSE '' END || CASE
		WHEN (to_jsonb(new) ->> 'updated_at')::timestamptz = now() THEN ' now'
		WHEN (to_jsonb(new) ->> 'updated_at')::timestamptz > (to_jsonb(old) ->> 'updated_at')::timestamptz THEN ' later'
		ELSE ' still' END;
	RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER UPDATE ON post FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION touched() RETURNS text LANGUAGE sql SET debug_discard_caches = 0 AS
	'WITH d AS (DELETE FROM log RETURNING n, line) SELECT coalesce(string_agg(line, '', '' ORDER BY line, n), ''none'') FROM d';

--
-- When, and how often
--
INSERT INTO comment VALUES (1, 1), (2, 3), (3, 2), (4, 1);
SELECT touched();
UPDATE comment SET body = 'x' WHERE id = 1;
SELECT touched();
DELETE FROM comment WHERE id = 4;
SELECT touched();
INSERT INTO comment VALUES (5, NULL);
DELETE FROM comment WHERE id = 5;
SELECT touched();
-- once for each transaction, at its end
BEGIN;
UPDATE comment SET body = 'y' WHERE id = 2;
INSERT INTO comment VALUES (6, 2), (7, 1), (8, 5);
UPDATE comment SET body = 'y';
DELETE FROM comment WHERE id > 5;
SELECT touched();
COMMIT;
SELECT touched();
-- in the order of their keys
BEGIN;
UPDATE comment SET body = 'order';
COMMIT;
SELECT string_agg(line, ', ' ORDER BY n) FROM log;
TRUNCATE log;
-- both parents of a child that moves
UPDATE comment SET post_id = 4 WHERE id = 1;
SELECT touched();
UPDATE comment SET post_id = NULL WHERE id = 1;
SELECT touched();
UPDATE comment SET post_id = 1 WHERE id = 1;
SELECT touched();
-- without a change of the child there is none of its parent
UPDATE comment SET body = body;
SELECT touched();
-- ON CONFLICT, MERGE, COPY
INSERT INTO comment VALUES (1, 1) ON CONFLICT DO NOTHING;
SELECT touched();
INSERT INTO comment VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET body = 'z';
SELECT touched();
MERGE INTO comment AS c USING (VALUES (2), (3), (9)) AS v (id) ON v.id = c.id
	WHEN MATCHED AND v.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET body = 'm' WHEN NOT MATCHED THEN INSERT VALUES (v.id, 5);
SELECT touched();
COPY comment (id, post_id) FROM stdin;
10	3
11	3
\.
SELECT touched();
-- the parent's own changes
BEGIN;
INSERT INTO comment VALUES (12, 3);
UPDATE post SET title = 'x' WHERE id = 3;
COMMIT;
SELECT touched();
BEGIN;
UPDATE comment SET body = 'x' WHERE id = 12;
UPDATE post SET updated_at = now() WHERE id = 3;
COMMIT;
SELECT touched();
-- a parent of the same transaction, and one that goes
BEGIN;
INSERT INTO post VALUES (6, 'six');
INSERT INTO comment VALUES (13, 6);
COMMIT;
SELECT updated_at IS NOT NULL FROM post WHERE id = 6;
SELECT touched() ~ 'post 6';
DELETE FROM post WHERE id = 6;
SELECT touched(), count(*) FROM comment WHERE post_id = 6;
BEGIN;
INSERT INTO comment VALUES (13, 5);
DELETE FROM post WHERE id = 5;
COMMIT;
SELECT touched();
-- one whose key changes takes its children along
UPDATE post SET id = 7 WHERE id = 4;
SELECT touched();
UPDATE post SET id = 30 WHERE id = 3;
SELECT touched() ~ 'post 30 (now|later)$';

--
-- Transactions that end otherwise, and savepoints
--
BEGIN;
UPDATE comment SET body = 'r1' WHERE id = 1;
ROLLBACK;
SELECT touched();
BEGIN;
SAVEPOINT a;
UPDATE comment SET body = 's1' WHERE id = 1;
ROLLBACK TO a;
UPDATE comment SET body = 's1' WHERE id = 3;
SAVEPOINT b;
UPDATE comment SET body = 's2' WHERE id = 10;
RELEASE b;
COMMIT;
SELECT touched();
-- noted before, and again within one that is rolled back
BEGIN;
UPDATE comment SET body = 't1' WHERE id = 1;
SAVEPOINT a;
UPDATE comment SET body = 't2' WHERE id = 1;
SAVEPOINT b;
UPDATE comment SET body = 't2' WHERE id = 3;
RELEASE b;
ROLLBACK TO a;
COMMIT;
SELECT touched();
DO $$
BEGIN
	UPDATE comment SET body = 'u1' WHERE id = 1;
	BEGIN
		UPDATE comment SET body = 'u2' WHERE id = 3;
		RAISE EXCEPTION 'undone';
	EXCEPTION WHEN raise_exception THEN
	END;
END
$$;
SELECT touched();
-- each transaction of a procedure
CREATE PROCEDURE rewrite() LANGUAGE plpgsql AS $$
BEGIN
	UPDATE comment SET body = 'v1' WHERE id = 1;
	COMMIT;
	UPDATE comment SET body = 'v2' WHERE id = 1;
	ROLLBACK;
	UPDATE comment SET body = 'v3' WHERE id = 1;
	UPDATE comment SET body = 'v3' WHERE id = 3;
END
$$;
CALL rewrite();
SELECT touched();
-- a failure of the touch is one of the transaction
ALTER TABLE post ADD CONSTRAINT frozen CHECK (id <> 1 OR updated_at < '2001-01-01') NOT VALID;
\set VERBOSITY terse
UPDATE comment SET body = 'w1' WHERE id = 1;
SELECT touched(), (SELECT body FROM comment WHERE id = 1);
BEGIN;
UPDATE comment SET body = 'w2' WHERE id = 1;
COMMIT;
SELECT touched(), (SELECT body FROM comment WHERE id = 1);
ALTER TABLE post DROP CONSTRAINT frozen;

--
-- Deferred triggers of the parent are still fired, and find what they need
--
CREATE FUNCTION check_title() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log (line) VALUES ('checked ' || new.id);
	IF new.title = 'bad' THEN
		RAISE EXCEPTION 'bad title' USING ERRCODE = '23514';
	END IF;
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER checked AFTER UPDATE ON post DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_title();
UPDATE comment SET body = 'x1' WHERE id IN (1, 3);
SELECT touched();
BEGIN;
ALTER TABLE post DISABLE TRIGGER USER;
UPDATE post SET title = 'bad' WHERE id = 2;
ALTER TABLE post ENABLE TRIGGER USER;
COMMIT;
UPDATE comment SET body = 'x2' WHERE id = 3;
SELECT touched(), (SELECT body FROM comment WHERE id = 3);
UPDATE post SET title = 'good' WHERE id = 2;
SELECT touched();
-- changes that deferred triggers make to children count
CREATE FUNCTION edit_comment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.id = 30 AND pg_trigger_depth() = 1 THEN
		UPDATE comment SET body = 'edited' WHERE id = 3 AND body <> 'edited';
	END IF;
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER edit AFTER UPDATE ON post DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION edit_comment();
UPDATE post SET title = 'x' WHERE id = 30;
SELECT touched();
DROP TRIGGER edit ON post;
DROP TRIGGER checked ON post;
-- and constraints are checked as they are without
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE comment SET body = 'x3' WHERE id = 1;
COMMIT;
SELECT touched();

--
-- Whose rights
--
GRANT SELECT, INSERT, UPDATE, DELETE ON comment TO regress_orm_writer;
SET ROLE regress_orm_writer;
UPDATE soft.comment SET body = 'y1' WHERE id = 1;
RESET ROLE;
SELECT touched();
-- those of the child table's owner
ALTER TABLE comment OWNER TO regress_orm_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON comment TO regress_orm_writer;
UPDATE comment SET body = 'y2' WHERE id = 1;
\set VERBOSITY default
GRANT SELECT, UPDATE ON post TO regress_orm_owner;
SET ROLE regress_orm_writer;
UPDATE soft.comment SET body = 'y3' WHERE id = 1;
SELECT current_user;
RESET ROLE;
SELECT touched();
ALTER TABLE comment OWNER TO CURRENT_USER;

--
-- Parents that have stamps of their own
--
CREATE TABLE page (id int PRIMARY KEY, title text, version int, created_at timestamptz, updated_at timestamptz, updated_by text);
CREATE TABLE line (id int PRIMARY KEY, page_id int REFERENCES page, body text);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON page FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at', 'updated_by=updated_by');
CREATE TRIGGER note AFTER UPDATE ON page FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON line FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('page_id', 'updated_at');
INSERT INTO page VALUES (1, 'one', 5, '2001-01-01', '2001-01-01', 'anna'), (2, 'two', 5, '2001-01-01', '2901-01-01', 'anna');
INSERT INTO line VALUES (1, 1), (2, 2);
SELECT touched();
SELECT id, version, updated_at > '2001-01-02', updated_by FROM page ORDER BY id;
CREATE OR REPLACE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON line FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('page_id', 'updated_at', 'version=keep');
UPDATE line SET body = 'a';
SELECT id, version FROM page ORDER BY id;
CREATE OR REPLACE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON line FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('page_id', 'updated_at', 'version=bump');
BEGIN;
UPDATE line SET body = 'b';
UPDATE line SET body = 'c';
COMMIT;
SELECT id, version FROM page ORDER BY id;
-- in every mode, with an expected version, and with a guard
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON page FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'mode=echo');
SET orm_ext.version_guard = 'error';
BEGIN;
SET LOCAL orm_ext.expected_version = '77';
INSERT INTO line VALUES (3, 1);
COMMIT;
RESET orm_ext.version_guard;
SELECT id, version FROM page ORDER BY id;
CREATE OR REPLACE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON line FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('page_id', 'updated_at');
INSERT INTO line VALUES (4, 1);
SELECT id, version FROM page ORDER BY id;
-- a version alone, of which the touched column is no part
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON page FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO line VALUES (5, 1);
SELECT id, version FROM page ORDER BY id;
CREATE OR REPLACE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON line FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('page_id', 'updated_at', 'version=bump');
INSERT INTO line VALUES (6, 1);
SELECT id, version FROM page ORDER BY id;
DROP TRIGGER note ON page;
TRUNCATE log;

--
-- Chains: a touch is a change
--
CREATE TABLE word (id int PRIMARY KEY, line_id int REFERENCES line);
ALTER TABLE line ADD COLUMN updated_at timestamptz;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON word FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('line_id', 'updated_at');
CREATE TRIGGER note AFTER UPDATE ON line FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER UPDATE ON page FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO word VALUES (1, 3), (2, 1), (3, 1), (4, 2);
SELECT touched();
-- and cycles come to an end
CREATE TABLE node (id int PRIMARY KEY, parent_id int REFERENCES node, a int, updated_at timestamptz);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON node FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('parent_id', 'updated_at');
INSERT INTO node VALUES (1, NULL), (2, 1), (3, 2);
UPDATE node SET parent_id = 3 WHERE id = 1;
CREATE TRIGGER note AFTER UPDATE ON node FOR EACH ROW EXECUTE FUNCTION note();
UPDATE node SET a = 1 WHERE id = 2;
SELECT line FROM log GROUP BY line HAVING count(*) = 1 ORDER BY line;
TRUNCATE log;

-- (for a bearable run time where caches are discarded)
SET debug_discard_caches = 0;

--
-- Composite, text and uuid keys; types of the touched column
--
CREATE TABLE account (tenant int, code text, id int GENERATED ALWAYS AS (tenant) STORED, updated_at timestamp(0), PRIMARY KEY (code, tenant));
CREATE TABLE entry (id int PRIMARY KEY, code text, tenant int, FOREIGN KEY (tenant, code) REFERENCES account (tenant, code));
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON entry FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('code', 'updated_at');
INSERT INTO account VALUES (1, 'b', DEFAULT, '2001-01-01'), (2, 'a', DEFAULT, '2001-01-01'), (2, 'it''s', DEFAULT, '2001-01-01'), (3, 'a', DEFAULT, '2001-01-01');
CREATE TRIGGER note AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO entry VALUES (1, 'b', 1), (2, 'a', 2), (3, 'it''s', 2), (4, NULL, 3), (5, 'a', NULL);
SELECT string_agg(tenant || code, ' ' ORDER BY tenant, code) FROM account WHERE updated_at > '2001-01-02';
SELECT count(*) FROM log;
TRUNCATE log;
UPDATE account SET updated_at = '2001-01-01';
UPDATE entry SET tenant = 3 WHERE id = 2;
SELECT string_agg(tenant || code, ' ' ORDER BY tenant, code) FROM account WHERE updated_at > '2001-01-02';
TRUNCATE log;
CREATE DOMAIN key AS uuid;
CREATE TABLE thing (id key PRIMARY KEY, "Touched" bigint, day date);
CREATE TABLE part (id int PRIMARY KEY, "Thing" uuid REFERENCES thing);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('Thing', 'Touched');
CREATE TRIGGER touch_day AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('Thing', 'day');
INSERT INTO thing VALUES ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
INSERT INTO part VALUES (1, '00000000-0000-0000-0000-000000000002');
SELECT id, abs("Touched" / 1000000 - extract(epoch FROM now())) < 3600, day BETWEEN current_date - 1 AND current_date FROM thing ORDER BY id;
-- a key that is not the primary one, and referred to by another type
CREATE TABLE coded (id int PRIMARY KEY, code bigint UNIQUE, updated_at timestamptz);
CREATE TABLE use (id int PRIMARY KEY, code smallint REFERENCES coded (code));
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON use FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('code', 'updated_at');
INSERT INTO coded VALUES (1, 10), (2, 20);
INSERT INTO use VALUES (1, 20);
SELECT id FROM coded WHERE updated_at IS NOT NULL;

--
-- Partitions on both sides
--
CREATE TABLE album (id int PRIMARY KEY, updated_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE album_1 PARTITION OF album FOR VALUES FROM (0) TO (10);
CREATE TABLE album_2 (updated_at timestamptz, id int NOT NULL);
ALTER TABLE album ATTACH PARTITION album_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE song (id int, album_id int REFERENCES album, kind text) PARTITION BY LIST (kind);
CREATE TABLE song_a PARTITION OF song FOR VALUES IN ('a');
CREATE TABLE song_b (kind text, album_id int, id int);
ALTER TABLE song ATTACH PARTITION song_b FOR VALUES IN ('b');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON song FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('album_id', 'updated_at');
CREATE TRIGGER note AFTER UPDATE ON album FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO album VALUES (1), (11), (12);
INSERT INTO song VALUES (1, 1, 'a'), (2, 11, 'b'), (3, 11, 'a');
SELECT touched();
UPDATE song SET kind = 'b' WHERE id = 1;
SELECT touched();
UPDATE song_b SET album_id = 12 WHERE id = 2;
SELECT touched();

--
-- Soft delete: a deleted parent is not touched; a child's deletion touches
--
CREATE TABLE folder (id int PRIMARY KEY, updated_at timestamptz, deleted_at timestamptz);
CREATE TABLE file (id int PRIMARY KEY, folder_id int REFERENCES folder, a int, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON folder FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
CREATE TRIGGER gone BEFORE DELETE ON file FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON file FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('folder_id', 'updated_at');
INSERT INTO folder VALUES (1), (2);
INSERT INTO file VALUES (1, 1), (2, 2), (3, 2);
DELETE FROM folder WHERE id = 2;
CREATE TRIGGER note AFTER UPDATE ON folder FOR EACH ROW EXECUTE FUNCTION note();
UPDATE file SET a = 1;
SELECT touched();
DELETE FROM file WHERE id = 1;
SELECT touched();
DELETE FROM file WHERE id = 3;
SELECT touched();
SET orm_ext.deleted_rows = 'show';
UPDATE file SET a = 2 WHERE id = 2;
RESET orm_ext.deleted_rows;
SELECT touched();

RESET debug_discard_caches;

--
-- What happens to the tables between a change and the end of its transaction
--
CREATE TABLE box (id int PRIMARY KEY, updated_at timestamptz);
CREATE TABLE toy (id int PRIMARY KEY, box_id int REFERENCES box ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON toy FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
CREATE TRIGGER note AFTER UPDATE ON box FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO box VALUES (1), (2);
INSERT INTO toy VALUES (1, 1), (2, 2);
SELECT touched();
BEGIN;
UPDATE toy SET id = 11 WHERE id = 1;
TRUNCATE toy;
COMMIT;
SELECT touched();
-- a parent that comes later
BEGIN;
INSERT INTO toy VALUES (3, 3);
INSERT INTO box VALUES (3);
COMMIT;
SELECT touched();
-- one that goes
DELETE FROM box WHERE id = 3;
SELECT touched(), box_id FROM toy;
-- the trigger goes
BEGIN;
UPDATE toy SET box_id = 1;
DROP TRIGGER touch ON toy;
COMMIT;
SELECT touched() ~ 'box 1|none';
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON toy FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
-- the column goes, or becomes another
DROP TRIGGER note ON box;
BEGIN;
UPDATE toy SET id = id + 1;
ALTER TABLE box DROP COLUMN updated_at CASCADE;
COMMIT;
SELECT * FROM box ORDER BY id;
ALTER TABLE box ADD COLUMN updated_at timestamptz;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON toy FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
BEGIN;
UPDATE toy SET id = id + 1;
ALTER TABLE box ALTER COLUMN updated_at TYPE bigint USING 0;
COMMIT;
SELECT updated_at > 0 FROM box WHERE id = 1;
TRUNCATE log;
-- a table goes
BEGIN;
UPDATE toy SET id = id + 1;
DROP TABLE toy;
COMMIT;
SELECT touched() ~ 'box 1|none';
CREATE TABLE toy (id int PRIMARY KEY, box_id int REFERENCES box);
CREATE CONSTRAINT TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON toy DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
INSERT INTO toy VALUES (1, 2);
SELECT id, updated_at > 0 FROM box ORDER BY id;
SET client_min_messages = warning;
BEGIN;
INSERT INTO toy VALUES (2, 2);
SET CONSTRAINTS ALL IMMEDIATE;
DROP TABLE box CASCADE;
COMMIT;
RESET client_min_messages;
SELECT count(*) FROM toy;
TRUNCATE log;
-- COMMIT AND CHAIN
BEGIN;
UPDATE comment SET body = 'chain 1' WHERE id = 1;
COMMIT AND CHAIN;
SELECT touched();
UPDATE comment SET body = 'chain 2' WHERE id = 3;
COMMIT;
SELECT touched();
-- temporary tables
CREATE TEMP TABLE temp_box (id int PRIMARY KEY, updated_at timestamptz) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE temp_toy (id int, box_id int REFERENCES temp_box) ON COMMIT DELETE ROWS;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON temp_toy FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
CREATE TRIGGER note AFTER UPDATE ON temp_box FOR EACH ROW EXECUTE FUNCTION note();
BEGIN;
INSERT INTO temp_box VALUES (1);
INSERT INTO temp_toy VALUES (1, 1);
COMMIT;
SELECT touched();

--
-- Switched off
--
ALTER TABLE comment DISABLE TRIGGER touch;
UPDATE comment SET body = 'z1' WHERE id = 1;
SELECT touched();
ALTER TABLE comment ENABLE TRIGGER touch;
SET session_replication_role = replica;
UPDATE comment SET body = 'z2' WHERE id = 1;
RESET session_replication_role;
SELECT touched();
UPDATE comment SET body = 'z3' WHERE id = 1;
SELECT touched();

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_owner, regress_orm_writer;
