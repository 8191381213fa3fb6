--
-- The error of a stale version: what it tells, to whom, and under which code.
--
CREATE ROLE regress_orm_blind;
CREATE ROLE regress_orm_key;
CREATE ROLE regress_orm_reader;
CREATE ROLE regress_orm_tenant;
CREATE SCHEMA soft;
SET search_path = soft;
GRANT USAGE ON SCHEMA soft, compare TO PUBLIC;
\pset format unaligned
\pset tuples_only on
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE TABLE post (id int PRIMARY KEY, title text, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO post VALUES (1, 'one', 5);

SELECT compare.refusal('UPDATE post SET title = ''x'', version = 3 WHERE id = 1');
SELECT compare.refusal('UPDATE post SET title = ''x'', version = NULL WHERE id = 1');
SELECT compare.refusal('UPDATE post SET version = 7 WHERE id = 1');
-- the row is the stored one, also where the statement changes its key
SELECT compare.refusal('UPDATE post SET id = 2, version = 7 WHERE id = 1');
-- with who and when, where known
CREATE TABLE page (id int PRIMARY KEY, title text, version int, updated_at timestamptz, updated_by text);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON page
	FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'updated_by=updated_by', 'mode=echo');
INSERT INTO page VALUES (1, 'one', 5, '2001-02-03 04:05:06Z', 'anna'), (2, 'two', 5, NULL, 'anna'), (3, 'three', 5, '2001-02-03 04:05:06Z', NULL);
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3 WHERE id = 1');
ALTER TABLE page DISABLE TRIGGER stamps;
UPDATE page SET updated_at = NULL WHERE id = 2;
UPDATE page SET updated_by = NULL WHERE id = 3;
ALTER TABLE page ENABLE TRIGGER stamps;
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3 WHERE id = 2');
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3 WHERE id = 3');
-- version required
SELECT compare.refusal('UPDATE page SET title = ''x'' WHERE id = 1');
-- by two triggers
CREATE TABLE leaf (id int PRIMARY KEY, title text, version int, updated_at timestamptz, updated_by text);
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON leaf FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated=updated_at', 'updated_by=updated_by');
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON leaf FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO leaf VALUES (1, 'one', 5, '2001-02-03 04:05:06Z', 'anna');
SELECT compare.refusal('UPDATE leaf SET title = ''x'', version = 3 WHERE id = 1');

-- keys and versions of all kinds
CREATE TABLE "Odd ""one""" ("The id" text, part int, "V" timestamptz, title json, PRIMARY KEY (part, "The id"));
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON "Odd ""one""" FOR EACH ROW EXECUTE FUNCTION orm_ext.version('V', 'mode=strict');
INSERT INTO "Odd ""one""" VALUES ('it''s', 7, '2001-02-03 04:05:06.789Z');
SELECT compare.refusal('UPDATE "Odd ""one""" SET title = ''{}'', "V" = ''2001-02-03 04:05:06Z''');
CREATE TABLE token (id uuid PRIMARY KEY, version uuid);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON token FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
INSERT INTO token VALUES ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000005');
SELECT compare.refusal('UPDATE token SET version = ''00000000-0000-0000-0000-000000000004''');
CREATE TABLE keyless (id int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON keyless FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO keyless VALUES (1, 5);
SELECT compare.refusal('UPDATE keyless SET version = 4');
CREATE TABLE uniq (id int NOT NULL UNIQUE, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON uniq FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO uniq VALUES (1, 5);
SELECT compare.refusal('UPDATE uniq SET version = 4');
-- in a partition, which is the table of the row
CREATE TABLE event (kind text, id int, version int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE event_a (version int, id int NOT NULL, kind text NOT NULL);
ALTER TABLE event ATTACH PARTITION event_a FOR VALUES IN ('a');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO event VALUES ('a', 1, 5);
SELECT compare.refusal('UPDATE event SET version = 4');

--
-- The code is the administrator's to choose
--
SET orm_ext.stale_sqlstate = '40001';
SELECT compare.refusal('UPDATE post SET title = ''x'', version = 3 WHERE id = 1');
DO $$
BEGIN
	UPDATE post SET title = 'x', version = 3 WHERE id = 1;
EXCEPTION WHEN serialization_failure THEN
	RAISE NOTICE 'caught';
END
$$;
-- version required is no matter of trying again
SELECT compare.refusal('UPDATE page SET title = ''x'' WHERE id = 1');
BEGIN;
SET LOCAL orm_ext.stale_sqlstate = 'P0409';
UPDATE post SET title = 'x', version = 3 WHERE id = 1;
\echo SQLSTATE :SQLSTATE
ROLLBACK;
SET orm_ext.stale_sqlstate = '';
SET orm_ext.stale_sqlstate = '4000';
SET orm_ext.stale_sqlstate = '00000';
SET orm_ext.stale_sqlstate = 'oe001';
SET orm_ext.stale_sqlstate = 'OE-01';
SET orm_ext.stale_sqlstate = '400010';
RESET orm_ext.stale_sqlstate;
SHOW orm_ext.stale_sqlstate;
DO $$
BEGIN
	UPDATE post SET title = 'x', version = 3 WHERE id = 1;
EXCEPTION WHEN SQLSTATE 'OE001' THEN
	RAISE NOTICE 'caught';
END
$$;

--
-- It tells nobody what he may not read
--
GRANT UPDATE ON page TO regress_orm_blind, regress_orm_key, regress_orm_reader;
GRANT SELECT (id) ON page TO regress_orm_key;
GRANT SELECT ON page TO regress_orm_reader;
GRANT UPDATE ON page TO regress_orm_tenant;
GRANT SELECT (id, version, updated_at) ON page TO regress_orm_tenant;
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3', 'regress_orm_blind');
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3 WHERE id = 1', 'regress_orm_key');
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3 WHERE id = 1', 'regress_orm_reader');
SELECT compare.refusal('UPDATE page SET title = ''x'', version = 3 WHERE id = 1', 'regress_orm_tenant');
-- rows under row-level security may be seen through UPDATE's policy alone
CREATE TABLE secret (id int PRIMARY KEY, tenant text, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON secret FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO secret VALUES (1, 'a', 5);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY change ON secret FOR UPDATE TO regress_orm_tenant USING (true);
GRANT SELECT, UPDATE ON secret TO regress_orm_tenant;
SELECT compare.refusal('UPDATE secret SET version = 3', 'regress_orm_tenant');

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP OWNED BY regress_orm_blind, regress_orm_key, regress_orm_reader, regress_orm_tenant;
DROP ROLE regress_orm_blind, regress_orm_key, regress_orm_reader, regress_orm_tenant;
