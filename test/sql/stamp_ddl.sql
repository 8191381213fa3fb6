--
-- A declaration of stamps follows its table: columns are renamed, dropped and
-- changed, tables attached and inherited.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE post (
	id int PRIMARY KEY, title text, hits int, "Likes, all" int, version int,
	created_at timestamptz, updated_at timestamptz, created_by text, updated_by text, change_id bigint
);
INSERT INTO post VALUES (1, 'one', 1, 1, 5, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z', 'eve', 'fred', 1);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('created=created_at',
	'version=version', 'updated=updated_at', 'created_by=created_by', 'updated_by=updated_by', 'ignore=hits,"Likes, all"', 'mode=strict');
CREATE VIEW declared AS
	SELECT tgrelid::regclass || ' ' || regexp_replace(pg_get_triggerdef(oid), '.* EXECUTE FUNCTION ', '') || CASE tgenabled WHEN 'O' THEN '' ELSE ' ' || tgenabled::text END AS declared
	FROM pg_trigger
	WHERE tgfoid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'orm_ext'::regnamespace) AND tgparentid = 0
		AND tgrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = 'orm_ext'::regnamespace)
	ORDER BY tgrelid::regclass::text, tgname;
TABLE declared;

--
-- Renamed: every argument follows, in this very transaction
--
ALTER TABLE post RENAME COLUMN version TO lock_version;
ALTER TABLE post RENAME created_at TO created;
ALTER TABLE post RENAME updated_at TO "Updated at";
ALTER TABLE post RENAME created_by TO author;
ALTER TABLE post RENAME updated_by TO "editor=";
ALTER TABLE post RENAME hits TO "hits, ""seen""";
ALTER TABLE post RENAME "Likes, all" TO likes;
ALTER TABLE post RENAME title TO heading;
TABLE declared;
SET orm_ext.actor = 'anna';
SELECT compare.changes('UPDATE post SET heading = ''x''');
SELECT compare.changes('UPDATE post SET likes = 9, "hits, ""seen""" = 9');
SELECT left(compare.changes('UPDATE post SET heading = ''x'', lock_version = 4'), 5);
SELECT compare.changes('INSERT INTO post VALUES (2)');
-- also into what reads like an option
ALTER TABLE post RENAME likes TO "mode=echo";
ALTER TABLE post RENAME lock_version TO "ignore=heading";
TABLE declared;
SELECT compare.changes('UPDATE post SET heading = ''x'', "ignore=heading" = 6');
SELECT compare.changes('UPDATE post SET "mode=echo" = 9');
BEGIN;
ALTER TABLE post RENAME "ignore=heading" TO v;
ALTER TABLE post RENAME id TO v2;
ALTER TABLE post RENAME v2 TO id;
SELECT compare.changes('UPDATE post SET heading = ''x'', v = 6');
ROLLBACK;
SELECT compare.changes('UPDATE post SET heading = ''x'', "ignore=heading" = 6');
ALTER TABLE post RENAME "ignore=heading" TO version;
ALTER TABLE post RENAME "mode=echo" TO likes;
ALTER TABLE post RENAME "Updated at" TO updated_at;
ALTER TABLE post RENAME "editor=" TO updated_by;
ALTER TABLE post RENAME "hits, ""seen""" TO hits;
-- names change places
BEGIN;
ALTER TABLE post RENAME created TO spare;
ALTER TABLE post RENAME updated_at TO created;
ALTER TABLE post RENAME spare TO updated_at;
TABLE declared;
SELECT compare.changes('UPDATE post SET heading = ''x''');
ROLLBACK;
-- what else may be renamed: table, schema, trigger
BEGIN;
ALTER TABLE post RENAME TO article;
ALTER TRIGGER stamps ON article RENAME TO "My stamps";
ALTER TABLE article SET SCHEMA public;
ALTER TABLE public.article SET SCHEMA soft;
SELECT compare.changes('UPDATE article SET heading = ''x''');
ROLLBACK;
-- with plans that are cached
PREPARE change AS UPDATE post SET heading = heading || '!' RETURNING version;
EXECUTE change;
ALTER TABLE post RENAME version TO revision;
EXECUTE change;
ALTER TABLE post RENAME revision TO version;
EXECUTE change;
DEALLOCATE change;
-- arguments of one column each
CREATE TABLE two (id int PRIMARY KEY, a int, v int, c timestamptz, u timestamptz);
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON two FOR EACH ROW EXECUTE FUNCTION orm_ext.version('v', 'ignore=a,v,c');
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON two FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('c', 'u', 'ignore= a , v ');
ALTER TABLE two DISABLE TRIGGER t;
ALTER TABLE two RENAME v TO w;
ALTER TABLE two RENAME a TO "a b";
ALTER TABLE two RENAME c TO "C";
SELECT * FROM declared WHERE declared.declared ~ '^two';
ALTER TABLE two ENABLE ALWAYS TRIGGER t;
ALTER TABLE two RENAME u TO c;
SELECT * FROM declared WHERE declared.declared ~ '^two';
CREATE OR REPLACE TRIGGER t BEFORE INSERT OR UPDATE ON two FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'c');
ALTER TABLE two RENAME c TO u;
SELECT * FROM declared WHERE declared.declared ~ '^two';
DROP TABLE two;

-- by way of another command, as the server allows, and by an owner who is no superuser
CREATE ROLE regress_orm_owner;
GRANT CREATE ON SCHEMA soft TO regress_orm_owner;
GRANT USAGE ON SCHEMA soft TO regress_orm_owner;
SET ROLE regress_orm_owner;
CREATE TABLE own (id int PRIMARY KEY, a int, hits int, v int);
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON own FOR EACH ROW EXECUTE FUNCTION orm_ext.version('v', 'ignore=hits');
INSERT INTO own VALUES (1, 1, 1);
ALTER VIEW own RENAME COLUMN v TO version;
ALTER FOREIGN TABLE own RENAME COLUMN hits TO likes;
UPDATE own SET a = 2 RETURNING version;
UPDATE own SET likes = 2 RETURNING version;
ALTER TABLE own DROP COLUMN likes;
RESET ROLE;
SELECT * FROM declared WHERE declared.declared ~ '^own';
DROP TABLE own;
DROP OWNED BY regress_orm_owner;
DROP ROLE regress_orm_owner;

--
-- Dropped: refused, or the trigger goes along
--
SELECT compare.refusal('ALTER TABLE post DROP COLUMN version');
SELECT compare.refusal('ALTER TABLE post DROP COLUMN updated_at RESTRICT');
SELECT compare.refusal('ALTER TABLE post DROP COLUMN author');
SELECT compare.refusal('ALTER TABLE post DROP COLUMN version, ADD COLUMN version int');
BEGIN;
ALTER TABLE post DROP COLUMN created CASCADE;
TABLE declared;
SELECT compare.changes('UPDATE post SET heading = ''x''');
ROLLBACK;
BEGIN;
ALTER TABLE post DROP COLUMN version CASCADE, ADD COLUMN version int;
TABLE declared;
ROLLBACK;
SELECT compare.changes('UPDATE post SET heading = ''x''');
-- a column that is only ignored leaves the list
BEGIN;
ALTER TABLE post DROP COLUMN hits;
TABLE declared;
SELECT compare.changes('UPDATE post SET likes = 9');
SELECT compare.changes('UPDATE post SET heading = ''x''');
ALTER TABLE post DROP COLUMN likes;
TABLE declared;
SELECT compare.changes('UPDATE post SET heading = ''x''');
ROLLBACK;
-- so does any other, from the table
BEGIN;
ALTER TABLE post DROP COLUMN heading;
SELECT compare.changes('UPDATE post SET id = 2');
ROLLBACK;
-- by way of a type that goes
CREATE DOMAIN counter AS int;
CREATE TABLE typed (id int PRIMARY KEY, a int, version counter);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON typed FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT compare.refusal('DROP DOMAIN counter');
BEGIN;
SET LOCAL client_min_messages = warning;
DROP DOMAIN counter CASCADE;
SELECT * FROM declared WHERE declared.declared ~ '^typed';
INSERT INTO typed VALUES (1, 1);
ROLLBACK;
DROP TABLE typed;

--
-- Changed
--
SELECT compare.refusal('ALTER TABLE post ALTER COLUMN version TYPE text');
SELECT compare.refusal('ALTER TABLE post ALTER COLUMN updated_at TYPE text');
SELECT compare.refusal('ALTER TABLE post ALTER COLUMN updated_by TYPE jsonb USING to_jsonb(updated_by)');
BEGIN;
ALTER TABLE post ALTER COLUMN version TYPE smallint, ALTER COLUMN updated_at TYPE timestamp(0),
	ALTER COLUMN created TYPE date, ALTER COLUMN hits TYPE text, ALTER COLUMN author TYPE varchar(3);
SELECT compare.changes('UPDATE post SET heading = ''x'', hits = ''9'', created = ''2005-01-01''');
UPDATE post SET heading = 'y' RETURNING updated_at BETWEEN localtimestamp(0) AND localtimestamp(0) + interval '1 second';
ALTER TABLE post ALTER COLUMN version TYPE timestamptz USING '2001-01-01 00:00:00Z';
SELECT compare.changes('UPDATE post SET heading = ''x''');
ALTER TABLE post ALTER COLUMN version TYPE uuid USING '00000000-0000-0000-0000-000000000001';
SELECT compare.changes('UPDATE post SET heading = ''x''');
ROLLBACK;
-- to one that is generated instead
SELECT compare.refusal('ALTER TABLE post DROP COLUMN version CASCADE, ADD COLUMN version int GENERATED ALWAYS AS (id) STORED');

--
-- LIKE takes no triggers, as ever
--
CREATE TABLE copy (LIKE post INCLUDING ALL);
SELECT count(*) FROM declared WHERE declared.declared ~ '^copy';
DROP TABLE copy;

--
-- Partitions
--
CREATE TABLE event (id int, kind text, a int, version int, updated_at timestamptz, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=a');
CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE event_b1 (updated_at timestamptz, a int, version int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE event_b ATTACH PARTITION event_b1 DEFAULT;
INSERT INTO event VALUES (1, 'a', 1, 5, '2002-01-01 00:00:00Z'), (2, 'b', 2, 5, '2002-01-01 00:00:00Z');
SELECT compare.changes('UPDATE event SET id = id + 10');
-- a rename reaches all of them
ALTER TABLE event RENAME version TO revision;
ALTER TABLE event RENAME a TO alpha;
ALTER TABLE event RENAME updated_at TO "Moved";
SELECT tgrelid::regclass, regexp_replace(pg_get_triggerdef(oid), '.* EXECUTE FUNCTION ', '') FROM pg_trigger
	WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('event')) AND tgname = 'stamps' ORDER BY tgrelid::regclass::text;
SELECT compare.changes('UPDATE event SET id = id + 10');
SELECT compare.changes('UPDATE event SET alpha = 9, revision = 6');
-- dropping a column does, too
SELECT compare.refusal('ALTER TABLE event DROP COLUMN revision');
BEGIN;
ALTER TABLE event DROP COLUMN alpha;
SELECT tgrelid::regclass, regexp_replace(pg_get_triggerdef(oid), '.* EXECUTE FUNCTION ', '') FROM pg_trigger
	WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('event')) AND tgname = 'stamps' ORDER BY tgrelid::regclass::text;
SELECT compare.changes('UPDATE event SET id = id + 10');
ROLLBACK;
BEGIN;
ALTER TABLE event DROP COLUMN revision CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('event')) AND tgname = 'stamps';
SELECT compare.changes('UPDATE event SET id = id + 10');
ROLLBACK;
-- a trigger on a partition follows the parent's rename
CREATE TABLE log (id int, kind text, a int, version int) PARTITION BY LIST (kind);
CREATE TABLE log_a PARTITION OF log FOR VALUES IN ('a');
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON log_a FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'ignore=a');
ALTER TABLE log RENAME version TO v;
ALTER TABLE log RENAME a TO b;
SELECT * FROM declared WHERE declared.declared ~ '^log';
SELECT compare.refusal('ALTER TABLE log DROP COLUMN v');
DROP TABLE log;
-- attached, and detached again
BEGIN;
CREATE TABLE event_c (LIKE event);
INSERT INTO event_c VALUES (3, 'c', 3, 5, '2002-01-01 00:00:00Z');
ALTER TABLE event ATTACH PARTITION event_c FOR VALUES IN ('c');
SELECT compare.changes('UPDATE event SET id = id + 10');
ALTER TABLE event DETACH PARTITION event_c;
SELECT compare.changes('UPDATE event_c SET id = id + 10');
ROLLBACK;
-- attached with a declaration of its own: two passes, one version
BEGIN;
CREATE TABLE event_d (LIKE event);
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON event_d FOR EACH ROW EXECUTE FUNCTION orm_ext.version('revision');
INSERT INTO event_d VALUES (4, 'd', 4, 5, '2002-01-01 00:00:00Z');
ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN ('d');
SELECT tgname, tgparentid <> 0 AS cloned FROM pg_trigger WHERE tgrelid = 'event_d'::regclass ORDER BY 1;
SELECT compare.changes('UPDATE event SET id = id + 10');
ROLLBACK;
CREATE TABLE event_d (LIKE event, other int);
ALTER TABLE event ADD COLUMN other int;
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON event_d FOR EACH ROW EXECUTE FUNCTION orm_ext.version('other');
SELECT compare.refusal('ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN (''d'')');
DROP TABLE event, event_d;

--
-- Inheritance: a rename reaches the children, whose triggers follow
--
CREATE TABLE thing (id int PRIMARY KEY, a int, version int);
CREATE TABLE tool (b int) INHERITS (thing);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'ignore=a');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON tool FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'ignore=b,a');
ALTER TABLE thing RENAME version TO v;
ALTER TABLE thing RENAME a TO alpha;
SELECT * FROM declared WHERE declared.declared ~ '^t';
INSERT INTO tool VALUES (1, 1, NULL, 1) RETURNING v;
SELECT compare.changes('UPDATE thing SET alpha = 9, id = 2');
SELECT compare.refusal('ALTER TABLE thing DROP COLUMN v');
BEGIN;
ALTER TABLE thing DROP COLUMN v CASCADE;
SELECT * FROM declared WHERE declared.declared ~ '^t';
ROLLBACK;
DROP TABLE thing, tool;
-- a child that keeps its column keeps its trigger
CREATE TABLE thing (id int, a int, b int, c int);
CREATE TABLE tool (a int, b int) INHERITS (thing);
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON tool FOR EACH ROW EXECUTE FUNCTION orm_ext.version('a');
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON tool FOR EACH ROW EXECUTE FUNCTION orm_ext.version('b', 'ignore=c');
CREATE TRIGGER c BEFORE INSERT OR UPDATE ON tool FOR EACH ROW EXECUTE FUNCTION orm_ext.version('c');
ALTER TABLE thing DROP COLUMN a;
ALTER TABLE thing DROP COLUMN b CASCADE;
ALTER TABLE ONLY thing DROP COLUMN c;
SELECT attname FROM pg_attribute WHERE attrelid = 'tool'::regclass AND attnum > 0 ORDER BY attname;
SELECT * FROM declared WHERE declared.declared ~ '^tool';
DROP TABLE thing, tool;

--
-- touch_parent follows both tables
--
CREATE TABLE box (id int PRIMARY KEY, a int, updated_at timestamptz);
CREATE TABLE toy (id int PRIMARY KEY, box_id int REFERENCES box);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON toy FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('box_id', 'updated_at');
INSERT INTO box VALUES (1, 1, '2002-01-01 00:00:00Z');
ALTER TABLE toy RENAME box_id TO "Box, id";
ALTER TABLE box RENAME updated_at TO "Moved";
ALTER TABLE box RENAME id TO number;
SELECT * FROM declared WHERE declared.declared ~ '^toy';
INSERT INTO toy VALUES (1, 1);
SELECT "Moved" > '2002-01-02' FROM box;
BEGIN;
ALTER TABLE toy RENAME "Box, id" TO b;
ALTER TABLE box RENAME "Moved" TO m;
UPDATE box SET m = '2002-01-01 00:00:00Z';
UPDATE toy SET id = 2;
COMMIT;
SELECT m > '2002-01-02' FROM box;
-- of a partitioned parent
CREATE TABLE album (id int PRIMARY KEY, updated_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE album_1 PARTITION OF album DEFAULT;
CREATE TABLE song (id int PRIMARY KEY, album_id int REFERENCES album);
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON song FOR EACH ROW
	EXECUTE FUNCTION orm_ext.touch_parent('album_id', 'updated_at');
ALTER TABLE album RENAME updated_at TO moved_at;
ALTER TABLE album RENAME id TO number;
SELECT * FROM declared WHERE declared.declared ~ '^song';
INSERT INTO album VALUES (1);
INSERT INTO song VALUES (1, 1);
SELECT moved_at IS NOT NULL FROM album;
DROP TABLE song, album;
-- renamed while touches wait
UPDATE box SET m = '2002-01-01 00:00:00Z';
BEGIN;
UPDATE toy SET id = 3;
ALTER TABLE box RENAME m TO moved_at;
COMMIT;
SELECT moved_at > '2002-01-02' FROM box;
-- dropped
SELECT compare.refusal('ALTER TABLE toy DROP COLUMN b');
SELECT compare.refusal('ALTER TABLE box DROP COLUMN moved_at');
SELECT compare.refusal('ALTER TABLE box ALTER COLUMN moved_at TYPE text');
-- without the foreign key there is nothing to touch
SELECT compare.refusal('ALTER TABLE toy DROP CONSTRAINT toy_box_id_fkey');
BEGIN;
ALTER TABLE box DROP COLUMN moved_at CASCADE;
SELECT * FROM declared WHERE declared.declared ~ '^toy';
ROLLBACK;
BEGIN;
SET LOCAL client_min_messages = warning;
DROP TABLE box CASCADE;
INSERT INTO toy VALUES (4, 4);
\echo SQLSTATE :SQLSTATE
ROLLBACK;

-- what a session knows of triggers goes with them, sooner or later
DO $$ BEGIN
	FOR i IN 1..200 LOOP
		CREATE TEMP TABLE passing (id int, version int);
		CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON passing FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
		INSERT INTO passing VALUES (i);
		DROP TABLE passing;
	END LOOP;
END $$;
SELECT count(*) < 100 FROM pg_backend_memory_contexts WHERE name = 'orm_ext stamp';

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
