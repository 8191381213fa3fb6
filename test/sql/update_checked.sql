--
-- orm_ext.update_checked() and delete_checked(): one row, by key and version.
--
CREATE ROLE regress_orm_client;
CREATE SCHEMA soft;
GRANT USAGE ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE post (
	id int PRIMARY KEY, title text, tags text[], meta jsonb, published date, version int, updated_at timestamptz
);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
INSERT INTO post VALUES (1, 'one', '{a}', '{"x": 1}', '2001-02-03', 5, '2002-01-01 00:00:00Z'), (2, 'two', NULL, NULL, NULL, 6, '2002-01-01 00:00:00Z');

--
-- The new row comes back
--
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}') - 'updated_at'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": null, "tags": ["b", "c"], "meta": {"y": [1]}, "published": "2003-04-05"}') - 'updated_at'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 2, '6', '{"meta": null}') - 'updated_at'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"id": 9}') ->> 'id'$$);
-- no change, no new version
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "one"}') - 'updated_at'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{}') - 'updated_at'$$);
-- the version may be among the changes: the one that was read, or the next
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x", "version": 5}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x", "version": 6}') ->> 'version'$$);
SELECT left(compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x", "version": 9}')$$), 5);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x", "updated_at": "2005-01-01 00:00:00Z"}') ->> 'title'$$);
-- the same as the row that is stored
BEGIN;
SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}') AS answer \gset
SELECT to_jsonb(post) = :'answer' FROM post WHERE id = 1;
ROLLBACK;
SELECT compare.changes($$SELECT orm_ext.delete_checked('post', 1, '5') ->> 'title'$$);
BEGIN;
SELECT to_jsonb(post) = orm_ext.delete_checked('post', 1, '5') FROM post WHERE id = 1;
ROLLBACK;

--
-- Stale, or not there
--
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '4', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 9, '5', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.delete_checked('post', 1, '4')$$);
SELECT compare.refusal($$SELECT orm_ext.delete_checked('post', 9, '4')$$);
SELECT left(compare.changes($$SELECT orm_ext.update_checked('post', 1, '4', '{}')$$), 5);
SET orm_ext.stale_sqlstate = '40001';
SELECT left(compare.changes($$SELECT orm_ext.update_checked('post', 1, '4', '{"title": "x"}')$$), 5);
SELECT left(compare.changes($$SELECT orm_ext.update_checked('post', 9, '4', '{"title": "x"}')$$), 5);
SELECT left(compare.changes($$SELECT orm_ext.delete_checked('post', 9, '4')$$), 5);
RESET orm_ext.stale_sqlstate;
-- each call checks, a row of this transaction's own as well
BEGIN;
SELECT orm_ext.update_checked('post', 1, '5', '{"title": "a"}') ->> 'version';
SELECT orm_ext.update_checked('post', 1, '6', '{"title": "b"}') ->> 'version';
\set VERBOSITY sqlstate
SELECT orm_ext.update_checked('post', 1, '6', '{"title": "c"}') ->> 'version';
\set VERBOSITY default
ROLLBACK;
-- and leaves the setting as it was
BEGIN;
SET LOCAL orm_ext.expected_version = '77';
SELECT orm_ext.update_checked('post', 1, '5', '{"title": "a"}') ->> 'version';
SHOW orm_ext.expected_version;
ROLLBACK;
\set VERBOSITY sqlstate
SELECT orm_ext.update_checked('post', 1, '4', '{"title": "x"}');
\set VERBOSITY default
SHOW orm_ext.expected_version;
-- nor does a guard mind
SET orm_ext.version_guard = 'error';
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.delete_checked('post', 1, '5') ->> 'version'$$);
RESET orm_ext.version_guard;

--
-- Keys
--
SELECT compare.changes($$SELECT orm_ext.update_checked('post', '1', '5', '{"title": "x"}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1::bigint, '5', '{"title": "x"}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', '1'::text, '5', '{"title": "x"}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', '{"id": 1}'::jsonb, '5', '{"title": "x"}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', '1'::jsonb, '5', '{"title": "x"}') ->> 'version'$$);
SELECT compare.changes($$SELECT orm_ext.delete_checked('post', '{"id": 1}'::jsonb, '5') ->> 'version'$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 'one', '5', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', '{"number": 1}'::jsonb, '5', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', '{"id": 1, "title": "one"}'::jsonb, '5', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', '{}'::jsonb, '5', '{"title": "x"}')$$);
CREATE TABLE "Order line" ("Order" int, line int, amount int, version int, PRIMARY KEY (line, "Order"));
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON "Order line" FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO "Order line" VALUES (1, 2, 10, 5), (2, 1, 20, 5);
SELECT orm_ext.update_checked('"Order line"', '{"Order": 1, "line": 2}'::jsonb, '5', '{"amount": 11}');
SELECT orm_ext.update_checked('"Order line"', '{"Order": 1, "line": 2}', '6', '{"amount": 12}');
SELECT orm_ext.delete_checked('"Order line"', '{"line": 1, "Order": 2}'::jsonb, '5');
SELECT compare.refusal($$SELECT orm_ext.update_checked('"Order line"', '{"Order": 1}'::jsonb, '6', '{"amount": 11}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('"Order line"', 1, '6', '{"amount": 11}')$$);
CREATE TABLE doc (id jsonb PRIMARY KEY, body text, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO doc VALUES ('{"a": 1}', 'one', 5), ('7', 'seven', 5);
SELECT orm_ext.update_checked('doc', '{"id": {"a": 1}}'::jsonb, '5', '{"body": "x"}');
SELECT orm_ext.update_checked('doc', '7'::jsonb, '5', '{"body": "y"}');
CREATE TABLE page (slug text PRIMARY KEY, a int, version uuid);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON page FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO page VALUES ('it''s', 1, '00000000-0000-0000-0000-000000000001'), ('1', 1, '00000000-0000-0000-0000-000000000001');
SELECT orm_ext.update_checked('page', 'it''s', '00000000-0000-0000-0000-000000000001', '{"a": 2}') - 'version';
SELECT orm_ext.update_checked('page', 1, '00000000-0000-0000-0000-000000000001', '{"a": 2}') - 'version';
CREATE TABLE item (id uuid PRIMARY KEY, a int, version timestamptz);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO item VALUES ('00000000-0000-0000-0000-000000000001', 1, '2001-02-03 04:05:06Z');
SELECT orm_ext.update_checked('item', '00000000-0000-0000-0000-000000000001'::uuid, '2001-02-03 05:05:06+01', '{"a": 2}') ->> 'a';
SELECT orm_ext.delete_checked('item', '00000000-0000-0000-0000-000000000001', (SELECT version::text FROM item)) ->> 'a';

--
-- What is wrong in a call
--
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"heading": "x", "title": "y"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"Title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"ctid": "(0,1)"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '["title"]')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '"title"')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"published": "soon"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, 'five', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, NULL, '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', NULL::int, '5', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', NULL)$$);
CREATE TABLE plain (id int PRIMARY KEY, a int);
INSERT INTO plain VALUES (1, 1);
SELECT compare.refusal($$SELECT orm_ext.update_checked('plain', 1, '5', '{"a": 2}')$$);
SELECT compare.refusal($$SELECT orm_ext.delete_checked('plain', 1, '5')$$);
ALTER TABLE post DISABLE TRIGGER stamps;
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}')$$);
SET session_replication_role = replica;
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}')$$);
RESET session_replication_role;
ALTER TABLE post ENABLE TRIGGER stamps;
CREATE TABLE keyless (id int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON keyless FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT compare.refusal($$SELECT orm_ext.update_checked('keyless', 1, '5', '{"id": 2}')$$);
CREATE VIEW posts AS SELECT * FROM post;
SELECT compare.refusal($$SELECT orm_ext.update_checked('posts', 1, '5', '{"title": "x"}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked('nothing', 1, '5', '{"title": "x"}')$$);
CREATE TABLE calc (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON calc FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO calc VALUES (1, 1, DEFAULT, 5);
SELECT orm_ext.update_checked('calc', 1, '5', '{"a": 2}');
SELECT compare.refusal($$SELECT orm_ext.update_checked('calc', 1, '6', '{"twice": 2}')$$);
SELECT compare.refusal($$SELECT orm_ext.update_checked(0, 1, '6', '{"a": 2}')$$);
SELECT compare.refusal($$SELECT orm_ext.delete_checked(0, 1, '6')$$);
-- nothing to change, and a key that cannot be assigned
CREATE TABLE counter (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version int, a int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON counter FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO counter (version) VALUES (5);
SELECT orm_ext.update_checked('counter', 1, '5', '{}');
SELECT compare.refusal($$SELECT orm_ext.update_checked('counter', 1, '4', '{}')$$);
ALTER TABLE counter DROP COLUMN a;
SELECT orm_ext.update_checked('counter', 1, '5', '{}');
-- columns named like the aliases of the statement
CREATE TABLE alias (t int PRIMARY KEY, r int, version int);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON alias FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO alias VALUES (1, 1, 5);
SELECT orm_ext.update_checked('alias', 1, '5', '{}');
SELECT orm_ext.update_checked('alias', 1, '5', '{"t": 2, "r": 3}');
SELECT orm_ext.delete_checked('alias', 2, '6');

--
-- Partitions, soft delete
--
CREATE TABLE event (id int, kind text, a int, version int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE event_a (version int, a int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE event ATTACH PARTITION event_a FOR VALUES IN ('a');
CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('b');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO event VALUES (1, 'a', 1, 5);
SELECT orm_ext.update_checked('event', '{"id": 1, "kind": "a"}'::jsonb, '5', '{"a": 2}');
SELECT orm_ext.update_checked('event', '{"id": 1, "kind": "a"}'::jsonb, '6', '{"kind": "b", "a": 3}');
SELECT orm_ext.delete_checked('event', '{"id": 1, "kind": "b"}'::jsonb, '7');
CREATE TABLE note (id int PRIMARY KEY, a int, version int, deleted_at timestamptz);
CREATE TRIGGER gone BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
INSERT INTO note VALUES (1, 1, 5), (2, 2, 5);
SELECT orm_ext.update_checked('note', 1, '5', '{"a": 2}');
SELECT orm_ext.delete_checked('note', 1, '6');
SELECT compare.refusal($$SELECT orm_ext.update_checked('note', 1, '7', '{"a": 3}')$$);
SELECT id, version, deleted_at IS NULL FROM note WHERE deleted_at IS NOT NULL OR true ORDER BY id;

--
-- Privileges and row-level security are the caller's
--
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}')$$, 'regress_orm_client');
SELECT compare.refusal($$SELECT orm_ext.delete_checked('post', 1, '5')$$, 'regress_orm_client');
GRANT SELECT, UPDATE (title) ON post TO regress_orm_client;
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}') ->> 'version'$$, 'regress_orm_client');
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"meta": 1}') ->> 'version'$$, 'regress_orm_client');
SELECT compare.changes($$SELECT orm_ext.delete_checked('post', 1, '5') ->> 'version'$$, 'regress_orm_client');
GRANT DELETE ON post TO regress_orm_client;
SELECT compare.changes($$SELECT orm_ext.delete_checked('post', 1, '5') ->> 'version'$$, 'regress_orm_client');
ALTER TABLE post ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON post USING (id = 1) WITH CHECK (title <> 'secret');
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "x"}') ->> 'version'$$, 'regress_orm_client');
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "secret"}') ->> 'version'$$, 'regress_orm_client');
-- a row that he may not see is one that is not there
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 2, '6', '{"title": "x"}')$$, 'regress_orm_client');
SELECT compare.refusal($$SELECT orm_ext.delete_checked('post', 2, '5')$$, 'regress_orm_client');
-- names cannot be made to mean something else
SELECT compare.refusal($$SELECT orm_ext.update_checked('post', 1, '5', '{"title\" = (SELECT 1), \"meta": "x"}')$$);
SELECT compare.changes($$SELECT orm_ext.update_checked('post', 1, '5', '{"title": "''; DROP TABLE post; --"}') ->> 'title'$$);

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_client;
