--
-- enable_soft_delete() and disable_soft_delete(): the column, the trigger, and
-- unique keys that hold among live rows or among all.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on

-- What a table looks like: columns, keys, triggers.
CREATE FUNCTION look(name regclass) RETURNS SETOF text LANGUAGE sql AS $$
SELECT format('%s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
			  CASE WHEN a.attnotnull THEN ' NOT NULL' END,
			  ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = name AND a.attnum > 0 AND NOT a.attisdropped
	AND a.attname IN (SELECT m."column" FROM orm_ext.managed AS m WHERE m."table" = name)
UNION ALL
(SELECT CASE WHEN c.oid IS NOT NULL THEN 'constraint: ' ELSE 'index: ' END || pg_get_indexdef(i.indexrelid)
	|| coalesce(' -- ' || obj_description(i.indexrelid), '') || coalesce(' -- ' || obj_description(c.oid), '')
FROM pg_index AS i JOIN pg_class AS r ON r.oid = i.indexrelid LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid = name AND i.indisunique ORDER BY r.relname)
UNION ALL
(SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = name AND NOT tgisinternal ORDER BY tgname)
$$;

--
-- Keys of every kind
--
CREATE TABLE "User" (
	id int PRIMARY KEY,
	email text,
	"Full Name" text,
	tenant int,
	code int,
	seat int,
	badge int NOT NULL,
	label text,
	CONSTRAINT user_email_key UNIQUE (email),
	CONSTRAINT "User name" UNIQUE (tenant, "Full Name") WITH (fillfactor = 70),
	CONSTRAINT user_code_key UNIQUE NULLS NOT DISTINCT (code) INCLUDE (label),
	CONSTRAINT user_seat_key UNIQUE (seat) DEFERRABLE,
	CONSTRAINT user_badge_key UNIQUE (badge),
	EXCLUDE USING btree (label WITH =)
);
CREATE UNIQUE INDEX user_lower ON "User" (lower(email) DESC NULLS LAST) WHERE tenant > 0;
CREATE UNIQUE INDEX user_label ON "User" (label text_pattern_ops, (id + 1));
CREATE INDEX user_plain ON "User" (email);
CREATE TABLE badge (number int REFERENCES "User" (badge));
COMMENT ON CONSTRAINT user_email_key ON "User" IS 'one account for an address';
COMMENT ON INDEX user_lower IS 'it''s case-blind';
SELECT look('"User"');
SELECT orm_ext.enable_soft_delete('"User"');
SELECT look('"User"');
-- a second time there is nothing to do
SELECT orm_ext.enable_soft_delete('"User"');
-- unique among live rows
INSERT INTO "User" (id, email, "Full Name", tenant, code, seat, badge, label) VALUES (1, 'a@b', 'A', 1, NULL, 1, 1, 'x');
INSERT INTO "User" (id, email, badge) VALUES (2, 'a@b', 2);
INSERT INTO "User" (id, email, tenant, badge, code) VALUES (2, 'A@B', 1, 2, 2);
INSERT INTO "User" (id, code, badge) VALUES (2, NULL, 2);
DELETE FROM "User" WHERE id = 1;
INSERT INTO "User" (id, email, "Full Name", tenant, code, seat, badge, label) VALUES (2, 'a@b', 'A', 1, NULL, 2, 2, 'y');
SELECT id, email FROM "User";
DELETE FROM "User" WHERE id = 2;
INSERT INTO "User" (id, email, "Full Name", tenant, code, seat, badge, label) VALUES (3, 'a@b', 'A', 1, NULL, 3, 3, 'z');
-- primary, deferrable and referenced keys hold among all rows
INSERT INTO "User" (id, code, badge) VALUES (1, 4, 4);
INSERT INTO "User" (id, code, badge, seat) VALUES (4, 4, 4, 1);
INSERT INTO "User" (id, code, badge) VALUES (4, 4, 1);
-- a row comes back only where its key is free
UPDATE "User" SET deleted_at = NULL WHERE id = 1;
SELECT id FROM "User" ORDER BY id;
-- back: keys among all rows, where that is possible
SELECT orm_ext.disable_soft_delete('"User"', 'all');
\echo SQLSTATE :SQLSTATE
SELECT look('"User"');
SELECT id FROM "User" ORDER BY id;
DELETE FROM "User" WHERE deleted_at IS NOT NULL;
SELECT orm_ext.disable_soft_delete('"User"', 'all');
SELECT look('"User"');
SELECT orm_ext.disable_soft_delete('"User"', 'all');
-- off and on again, keys left alone
SELECT orm_ext.enable_soft_delete('"User"', unique_keys => 'all');
SELECT orm_ext.enable_soft_delete('"User"');
SELECT orm_ext.disable_soft_delete('"User"');
SELECT look('"User"');
SELECT orm_ext.enable_soft_delete('"User"', unique_keys => 'live');
SELECT orm_ext.enable_soft_delete('"User"', unique_keys => 'all');
SELECT look('"User"');

--
-- Markers of every type
--
CREATE TABLE a (id int UNIQUE);
CREATE TABLE b (id int UNIQUE);
CREATE TABLE c (id int UNIQUE);
CREATE TABLE d (id int UNIQUE, gone boolean NOT NULL);
INSERT INTO a VALUES (1);
INSERT INTO b VALUES (1);
INSERT INTO c VALUES (1);
SELECT orm_ext.enable_soft_delete('a', 'removed', 'boolean');
SELECT orm_ext.enable_soft_delete('b', marker_type => 'bigint');
SELECT orm_ext.enable_soft_delete('c', 'Deleted At', 'timestamp');
SELECT orm_ext.enable_soft_delete('d', 'gone');
SELECT look('a');
SELECT look('b');
SELECT look('c');
SELECT look('d');
DELETE FROM a;
DELETE FROM b;
DELETE FROM c;
INSERT INTO a VALUES (1), (1);
INSERT INTO a VALUES (1);
INSERT INTO b VALUES (1);
INSERT INTO c VALUES (1);
SELECT a.id, b.id, c.id FROM a, b, c;
SELECT orm_ext.disable_soft_delete('a');
SELECT orm_ext.disable_soft_delete('b');
SELECT orm_ext.disable_soft_delete('c');

-- keys among live rows that were made by hand are such keys
CREATE TABLE by_hand (id int, email text, gone bigint NOT NULL DEFAULT 0, hidden boolean NOT NULL DEFAULT false, removed timestamp);
CREATE UNIQUE INDEX gone_key ON by_hand (email) WHERE gone = 0;
CREATE UNIQUE INDEX hidden_key ON by_hand (email) WHERE hidden = false;
CREATE UNIQUE INDEX removed_key ON by_hand (email) WHERE removed IS NULL AND id > 0;
BEGIN;
SELECT orm_ext.enable_soft_delete('by_hand', 'gone', unique_keys => 'all');
ROLLBACK;
BEGIN;
SELECT orm_ext.enable_soft_delete('by_hand', 'hidden');
SELECT orm_ext.disable_soft_delete('by_hand', 'all');
ROLLBACK;
BEGIN;
SELECT orm_ext.enable_soft_delete('by_hand', 'removed');
SELECT orm_ext.disable_soft_delete('by_hand', 'all');
ROLLBACK;

--
-- Exclusion constraints stay such, among live rows
--
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_keys LOCATION '';
CREATE TABLE booking (room int, during int4range, state text,
	CONSTRAINT once EXCLUDE USING gist (during WITH &&) WITH (fillfactor = 80) USING INDEX TABLESPACE regress_keys
		WHERE (state <> 'draft') DEFERRABLE INITIALLY DEFERRED,
	CONSTRAINT "One a room" EXCLUDE (room WITH =, lower(state) WITH =) INCLUDE (during) DEFERRABLE);
COMMENT ON CONSTRAINT once ON booking IS 'the house is one';
CREATE FUNCTION exclusions() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT c.conname || ' ' || pg_get_constraintdef(c.oid) || ' ' || coalesce(t.spcname, '') || coalesce(' -- ' || obj_description(c.oid, 'pg_constraint'), '')
	FROM pg_constraint AS c JOIN pg_class AS r ON r.oid = c.conindid LEFT JOIN pg_tablespace AS t ON t.oid = r.reltablespace
	WHERE c.conrelid = 'booking'::regclass ORDER BY 1
$$;
SELECT exclusions();
SELECT orm_ext.enable_soft_delete('booking');
SELECT exclusions();
INSERT INTO booking VALUES (1, '[1,5)', 'paid');
INSERT INTO booking VALUES (2, '[4,6)', 'paid');
DELETE FROM booking WHERE room = 1;
INSERT INTO booking VALUES (2, '[4,6)', 'paid'), (1, '[7,8)', 'paid');
INSERT INTO booking VALUES (1, '[8,9)', 'PAID');
INSERT INTO booking VALUES (1, '[8,9)', 'PAID') ON CONFLICT DO NOTHING;
-- a row comes back only where nothing is in its way
UPDATE booking SET deleted_at = NULL WHERE deleted_at IS NOT NULL;
SELECT orm_ext.disable_soft_delete('booking', 'all');
\echo SQLSTATE :SQLSTATE
DELETE FROM booking WHERE deleted_at IS NOT NULL;
SELECT orm_ext.disable_soft_delete('booking', 'all');
SELECT exclusions();
SELECT orm_ext.enable_soft_delete('booking', unique_keys => 'all');
SELECT orm_ext.disable_soft_delete('booking');
-- one that is added later, where all is managed
SET orm_ext.auto_manage = 'soft';
ALTER TABLE booking DROP CONSTRAINT once, DROP CONSTRAINT "One a room";
SELECT FROM orm_ext.enable_soft_delete('booking');
ALTER TABLE booking ADD CONSTRAINT once EXCLUDE USING gist (during WITH &&);
SELECT exclusions();
RESET orm_ext.auto_manage;
DROP TABLE booking;
DROP TABLESPACE regress_keys;

--
-- Partitions follow their parent
--
CREATE TABLE event (id int, kind text, word text, UNIQUE (kind, word)) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE TABLE event_b (kind text, word text, id int UNIQUE);
ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
SELECT orm_ext.enable_soft_delete('event');
SELECT look('event');
SELECT look('event_b');
INSERT INTO event VALUES (1, 'b', 'x');
DELETE FROM event;
INSERT INTO event VALUES (2, 'b', 'x');
INSERT INTO event VALUES (3, 'b', 'x');
-- keys that a partition has for itself as well
INSERT INTO event VALUES (1, 'b', 'y');
-- one that comes later, if it is asked
ALTER TABLE event_b ADD UNIQUE (word, id);
SELECT orm_ext.enable_soft_delete('event_b');
SELECT look('event_b');
DELETE FROM event WHERE deleted_at IS NOT NULL;
SELECT orm_ext.disable_soft_delete('event', 'all');
SELECT look('event');
SELECT look('event_b');

--
-- A key that rows in the bin keep from being unique: nothing is done, nothing lost
--
CREATE TABLE clash (id int PRIMARY KEY, email text UNIQUE, name text);
INSERT INTO clash VALUES (1, 'x', 'one');
SELECT orm_ext.enable_soft_delete('clash');
DELETE FROM clash;
INSERT INTO clash VALUES (2, 'x', 'two');
SELECT orm_ext.enable_soft_delete('clash', unique_keys => 'all');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.disable_soft_delete('clash', 'all');
\echo SQLSTATE :SQLSTATE
SELECT look('clash');
SELECT id FROM clash;
SELECT id FROM clash WHERE deleted_at IS NOT NULL;
-- live rows that clash, as they may after a time without a key
DROP INDEX clash_email_key;
INSERT INTO clash VALUES (3, 'x', 'three');
CREATE UNIQUE INDEX clash_email_key ON clash (email) WHERE id <> 3;
SELECT orm_ext.enable_soft_delete('clash');
SELECT look('clash');

--
-- Replica identity, and what depends on a key
--
CREATE TABLE replicated (id int NOT NULL UNIQUE);
ALTER TABLE replicated REPLICA IDENTITY USING INDEX replicated_id_key;
SELECT orm_ext.enable_soft_delete('replicated');
SELECT look('replicated');
CREATE TABLE grouped (id int PRIMARY KEY, email text UNIQUE);
CREATE VIEW grouping AS SELECT id, email FROM grouped GROUP BY id;
SELECT orm_ext.enable_soft_delete('grouped');

--
-- Errors
--
SELECT orm_ext.enable_soft_delete('grouped', unique_keys => 'some');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.disable_soft_delete('grouped', 'some');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.enable_soft_delete('grouped', 'removed_at');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.enable_soft_delete('d', 'id');
SELECT orm_ext.enable_soft_delete('badge', 'number');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.enable_soft_delete('badge', 'gone', 'text');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.enable_soft_delete('grouping');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.enable_soft_delete('no_such_table');
SELECT orm_ext.enable_soft_delete('pg_catalog.pg_class');
SELECT orm_ext.enable_soft_delete(NULL);
CREATE ROLE regress_orm_user;
GRANT USAGE ON SCHEMA soft TO regress_orm_user;
SET ROLE regress_orm_user;
SELECT orm_ext.enable_soft_delete('badge');
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.disable_soft_delete('grouped');
\echo SQLSTATE :SQLSTATE
RESET ROLE;
-- after all these, badge is as it was
SELECT look('badge');

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_user;
