--
-- Every way on which a row is written leads through its stamps, and answers as
-- it does without them.
--
CREATE ROLE regress_orm_tenant;
CREATE SCHEMA soft;
CREATE SCHEMA twin;
GRANT USAGE ON SCHEMA soft, twin TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (
		id int PRIMARY KEY, title text, hits int, version int,
		created_at timestamptz, updated_at timestamptz
	);
	INSERT INTO post VALUES
		(1, 'one', 1, 5, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z'),
		(2, 'two', 2, 6, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z'),
		(3, 'three', 3, 1, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z');
	CREATE TABLE news (id int, title text);
	INSERT INTO news VALUES (2, 'zwei'), (3, 'three'), (4, 'vier');
	GRANT SELECT, INSERT, UPDATE, DELETE ON post TO regress_orm_tenant;
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at', 'ignore=hits');
SET compare.left_out = 'version created_at updated_at';

--
-- UPDATE
--
SELECT compare.changes('UPDATE post SET title = news.title FROM news WHERE news.id = post.id');
SELECT compare.effect('UPDATE post SET title = news.title FROM news WHERE news.id = post.id RETURNING post.id, post.title, news.*');
SELECT compare.changes('WITH u AS (UPDATE post SET title = ''x'' WHERE id < 3 RETURNING id, version) SELECT sum(version) FROM u');
SELECT compare.effect('WITH u AS (UPDATE post SET title = ''x'' WHERE id < 3 RETURNING id) UPDATE post SET hits = 0 FROM u WHERE u.id + 1 = post.id AND post.id > 2 RETURNING post.id');
-- many rows for one: one of them wins, as ever
SELECT compare.changes('UPDATE post SET title = n.title FROM (SELECT * FROM news UNION ALL SELECT * FROM news) AS n WHERE n.id = post.id');

--
-- INSERT ... ON CONFLICT
--
SELECT compare.changes('INSERT INTO post (id, title) TABLE news ON CONFLICT (id) DO NOTHING');
SELECT compare.effect('INSERT INTO post (id, title) TABLE news ON CONFLICT (id) DO NOTHING RETURNING id, title');
SELECT compare.changes('INSERT INTO post (id, title) TABLE news ON CONFLICT (id) DO UPDATE SET title = excluded.title');
SELECT compare.effect('INSERT INTO post (id, title) TABLE news ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING id, title');
SELECT compare.changes('INSERT INTO post (id, title) TABLE news ON CONFLICT (id) DO UPDATE SET title = excluded.title WHERE post.title <> excluded.title');
SELECT compare.effect('INSERT INTO post (id, title) TABLE news ON CONFLICT (id) DO UPDATE SET title = excluded.title WHERE post.title <> excluded.title RETURNING id, title');
SELECT compare.changes('INSERT INTO post (id, hits) VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET hits = excluded.hits');
-- created is kept, whatever excluded says; updated is the one given
SELECT compare.changes('INSERT INTO post (id, title) VALUES (1, ''x'') ON CONFLICT (id) DO UPDATE SET title = excluded.title, created_at = excluded.created_at, updated_at = excluded.updated_at');
SELECT compare.changes('INSERT INTO post (id, title, created_at, updated_at) VALUES (1, ''x'', ''2005-01-01 00:00:00Z'', ''2005-01-01 00:00:00Z'') ON CONFLICT (id) DO UPDATE SET title = excluded.title, created_at = excluded.created_at, updated_at = excluded.updated_at');
SELECT compare.changes('INSERT INTO post (id, title) VALUES (1, ''x'') ON CONFLICT (id) DO UPDATE SET title = excluded.title, updated_at = CASE WHEN post.title IS NOT DISTINCT FROM excluded.title THEN post.updated_at ELSE current_timestamp END');
-- an ORM that lists every column: excluded has the first version, which a later row does not take
SELECT compare.changes('INSERT INTO post (id, title) VALUES (3, ''x'') ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version');
SELECT left(compare.changes('INSERT INTO post (id, title) VALUES (1, ''x'') ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version'), 5);
SELECT compare.changes('INSERT INTO post (id, title, version) VALUES (1, ''x'', 6) ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version');
SELECT compare.changes('INSERT INTO post (id, title, version) VALUES (1, ''x'', 5) ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version');
SELECT compare.changes('INSERT INTO post (id, title) VALUES (1, ''x'') ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = post.version + 1');
SELECT compare.refusal('INSERT INTO post (id, title) VALUES (1, ''x''), (1, ''y'') ON CONFLICT (id) DO UPDATE SET title = excluded.title');

--
-- MERGE: its actions' columns come as one list, so the version is listed where it differs
--
SELECT compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED THEN UPDATE SET title = n.title WHEN NOT MATCHED THEN INSERT (id, title) VALUES (n.id, n.title)');
SELECT compare.effect('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED THEN UPDATE SET title = n.title WHEN NOT MATCHED THEN INSERT (id, title) VALUES (n.id, n.title)');
SELECT compare.effect('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED AND p.id = 2 THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.title)');
SELECT compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED AND n.id = 2 THEN UPDATE SET title = n.title, version = p.version + 1 WHEN MATCHED THEN UPDATE SET title = ''x''');
SELECT compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED AND n.id = 2 THEN UPDATE SET title = n.title, version = p.version WHEN MATCHED THEN UPDATE SET version = p.version');
SELECT compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED AND n.id = 2 THEN UPDATE SET title = n.title, updated_at = ''2005-01-01 00:00:00Z'', created_at = now() WHEN MATCHED THEN UPDATE SET title = ''x''');
SELECT left(compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED THEN UPDATE SET version = 4'), 5);
-- as an ORM sends it
SELECT compare.changes('MERGE INTO post AS p USING (VALUES (1, ''x'', 5)) AS s (id, title, version) ON s.id = p.id WHEN MATCHED AND p.version <= s.version THEN UPDATE SET title = s.title, version = s.version + 1 WHEN NOT MATCHED THEN INSERT (id, title, version) VALUES (s.id, s.title, 0)');
SELECT compare.changes('MERGE INTO post AS p USING (VALUES (7, ''x'', 5)) AS s (id, title, version) ON s.id = p.id WHEN MATCHED AND p.version <= s.version THEN UPDATE SET title = s.title, version = s.version + 1 WHEN NOT MATCHED THEN INSERT (id, title, version) VALUES (s.id, s.title, 0)');
-- in the strict modes just so
BEGIN;
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=strict');
SELECT compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED AND n.id = 2 THEN UPDATE SET title = n.title, version = p.version + 1 WHEN MATCHED THEN UPDATE SET title = ''x''');
-- where the stored version must be given, an upsert can, and a MERGE cannot
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
SELECT left(compare.changes('INSERT INTO post (id, title) VALUES (1, ''x'') ON CONFLICT (id) DO UPDATE SET title = excluded.title'), 5);
SELECT compare.changes('INSERT INTO post (id, title, version) VALUES (1, ''x'', 5) ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version');
SELECT left(compare.changes('INSERT INTO post (id, title, version) VALUES (1, ''x'', 4) ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version'), 5);
SELECT left(compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED THEN UPDATE SET title = n.title, version = p.version'), 5);
SET LOCAL orm_ext.expected_version = '6';
SELECT compare.changes('MERGE INTO post AS p USING news AS n ON n.id = p.id WHEN MATCHED AND p.id = 2 THEN UPDATE SET title = n.title');
ROLLBACK;

--
-- COPY
--
BEGIN;
COPY post (id, title) FROM stdin;
4	four
5	five
\.
COPY post (id, title, version, created_at, updated_at) FROM stdin;
6	six	7	2001-01-01 00:00:00Z	2002-01-01 00:00:00Z
7	seven	\N	\N	\N
\.
SELECT id, version, created_at = now(), updated_at = now() FROM post WHERE id > 3 ORDER BY id;
ROLLBACK;

--
-- Prepared statements, functions, and what PL/pgSQL knows afterwards
--
PREPARE rename (text, int) AS UPDATE post SET title = $1 WHERE id = $2 RETURNING id, title, version;
PREPARE save (text, int, int) AS UPDATE post SET title = $1, version = $2 + 1 WHERE id = $3 AND version = $2;
\set QUIET off
BEGIN;
EXECUTE rename ('a', 1);
EXECUTE rename ('a', 1);
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE rename ('b', 1);
EXECUTE save ('c', 7, 1);
EXECUTE save ('d', 7, 1);
EXECUTE save ('d', 8, 1);
ROLLBACK;
\set QUIET on
-- prepared before the trigger was there, or changed
BEGIN;
PREPARE renews (text) AS UPDATE news SET title = $1 WHERE id = 2 RETURNING *;
EXECUTE renews ('a');
ALTER TABLE news ADD COLUMN version int;
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON news FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
DEALLOCATE renews;
PREPARE renews (text) AS UPDATE news SET title = $1 WHERE id = 2 RETURNING *;
EXECUTE renews ('b');
EXECUTE renews ('c');
DROP TRIGGER v ON news;
EXECUTE renews ('d');
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON news FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'ignore=title');
EXECUTE renews ('e');
CREATE OR REPLACE TRIGGER v BEFORE INSERT OR UPDATE ON news FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=strict');
EXECUTE renews ('f');
ROLLBACK;
DEALLOCATE renews;
CALL compare.in_both($$
	CREATE FUNCTION save(key int, wanted text, known int) RETURNS text LANGUAGE plpgsql AS $f$
	DECLARE
		n bigint;
		result text;
	BEGIN
		UPDATE post SET title = wanted WHERE id = key;
		GET DIAGNOSTICS n = ROW_COUNT;
		result := concat_ws(' ', found, n);
		UPDATE post SET title = wanted || '!', version = known + 1 WHERE id = key AND version = known;
		GET DIAGNOSTICS n = ROW_COUNT;
		RETURN concat_ws(' ', result, found, n);
	END
	$f$;
	CREATE FUNCTION save_in_sql(key int, wanted text) RETURNS SETOF int LANGUAGE sql AS
		'UPDATE post SET title = wanted WHERE id = key RETURNING id';
$$);
SELECT compare.effect('SELECT save(9, ''x'', 1)');
SELECT compare.effect('SELECT save_in_sql(key, ''x'') FROM generate_series(1, 5) AS key');
SELECT compare.changes('SELECT save(1, ''x'', 6)');
SELECT compare.changes('SELECT save(1, ''x'', 5)');
SELECT compare.changes('SELECT save(1, ''one'', 5)');
-- cursors
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM post WHERE id < 3 ORDER BY id FOR UPDATE;
FETCH c;
UPDATE post SET title = 'x' WHERE CURRENT OF c RETURNING id, version;
FETCH c;
UPDATE post SET title = 'y', version = version + 1 WHERE CURRENT OF c RETURNING id, version;
ROLLBACK;

--
-- Foreign keys: the server's own UPDATE of a referencing row is a change as any
--
CREATE TABLE owner (id int PRIMARY KEY);
INSERT INTO owner SELECT generate_series(1, 6);
CREATE TABLE pet (
	id int PRIMARY KEY, version int, updated_at timestamptz,
	cascade_id int REFERENCES owner ON UPDATE CASCADE ON DELETE CASCADE,
	null_id int REFERENCES owner ON UPDATE SET NULL ON DELETE SET NULL,
	default_id int DEFAULT 6 REFERENCES owner ON UPDATE SET DEFAULT ON DELETE SET DEFAULT
);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON pet FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
INSERT INTO pet VALUES (1, 5, '2002-01-01 00:00:00Z', 1, 2, 3);
SELECT compare.changes('UPDATE owner SET id = 11 WHERE id = 1');
SELECT compare.changes('UPDATE owner SET id = 12 WHERE id = 2');
SELECT compare.changes('UPDATE owner SET id = 13 WHERE id = 3');
SELECT compare.changes('UPDATE owner SET id = id + 10 WHERE id < 6');
SELECT compare.changes('DELETE FROM owner WHERE id = 1');
SELECT compare.changes('DELETE FROM owner WHERE id = 2');
SELECT compare.changes('DELETE FROM owner WHERE id = 3');
-- also where a client must give the version
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON pet FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'mode=echo');
SELECT compare.changes('UPDATE owner SET id = 11 WHERE id = 1');
SELECT compare.changes('UPDATE owner SET id = 12 WHERE id = 2');
SELECT compare.changes('DELETE FROM owner WHERE id = 2');
SELECT compare.changes('DELETE FROM owner WHERE id = 3');
SELECT left(compare.changes('UPDATE pet SET null_id = NULL'), 5);
-- but not what a trigger does from within it
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE post SET title = 'of ' || new.cascade_id WHERE id = 1;
	RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER UPDATE ON pet FOR EACH ROW EXECUTE FUNCTION follow();
SELECT compare.changes('UPDATE owner SET id = 11 WHERE id = 1');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at', 'mode=echo');
SELECT left(compare.changes('UPDATE owner SET id = 11 WHERE id = 1'), 5);
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at', 'ignore=hits');
DROP TABLE pet, owner;

--
-- Views
--
CALL compare.in_both($$
	CREATE VIEW posts AS SELECT updated_at AS moved, version AS revision, title AS heading, id FROM post WHERE id < 3 WITH CHECK OPTION;
	CREATE VIEW few AS SELECT heading, id, revision FROM posts WHERE id = 1;
	CREATE VIEW ruled AS SELECT id, title FROM post;
	CREATE RULE change AS ON UPDATE TO ruled DO INSTEAD UPDATE post SET title = new.title WHERE id = old.id;
$$);
SELECT compare.changes('UPDATE posts SET heading = ''x''');
SELECT compare.effect('UPDATE posts SET heading = ''x'' RETURNING id, heading');
SELECT compare.changes('UPDATE few SET heading = ''x'', revision = revision + 1 RETURNING *');
SELECT compare.changes('UPDATE few SET heading = ''x'', revision = revision');
SELECT left(compare.changes('UPDATE few SET heading = ''x'', revision = 3'), 5);
SELECT compare.changes('UPDATE posts SET heading = ''x'', moved = ''2005-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('INSERT INTO posts (id, heading) VALUES (0, ''null'')');
SELECT compare.changes('INSERT INTO posts (id, heading) VALUES (1, ''eins'') ON CONFLICT (id) DO UPDATE SET heading = excluded.heading');
SELECT compare.effect('UPDATE posts SET id = 9 WHERE id = 1');
SELECT compare.changes('UPDATE ruled SET title = ''x'' WHERE id = 2');
SELECT compare.effect('UPDATE ruled SET title = ''x'' WHERE id = 2');

--
-- Partitions whose columns stand in another order, and moves between them
--
CALL compare.in_both($$
	CREATE TABLE event (
		id int, kind text, a int, version int, created_at timestamptz, updated_at timestamptz,
		PRIMARY KEY (id, kind)
	) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (spare int, updated_at timestamptz, version int, id int NOT NULL, a int, created_at timestamptz, kind text NOT NULL);
	ALTER TABLE event_b DROP COLUMN spare;
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	CREATE TABLE event_rest (created_at timestamptz, version int, updated_at timestamptz, kind text NOT NULL, a int, id int NOT NULL) PARTITION BY RANGE (id);
	CREATE TABLE event_rest_1 (id int NOT NULL, a int, kind text NOT NULL, version int, updated_at timestamptz, created_at timestamptz);
	ALTER TABLE event_rest ATTACH PARTITION event_rest_1 FOR VALUES FROM (0) TO (100);
	ALTER TABLE event ATTACH PARTITION event_rest DEFAULT;
	INSERT INTO event SELECT i, v, i, 5, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z' FROM unnest(ARRAY['a', 'b', 'c']) WITH ORDINALITY AS u (v, i);
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON event FOR EACH ROW
	EXECUTE FUNCTION orm_ext.stamp('version=version', 'created=created_at', 'updated=updated_at', 'ignore=id');
SELECT compare.changes('INSERT INTO event (id, kind) VALUES (4, ''a''), (5, ''b''), (6, ''c'')');
SELECT compare.changes('UPDATE event SET a = 9');
SELECT compare.effect('UPDATE event SET a = 9 RETURNING id, kind, a');
SELECT compare.changes('UPDATE event SET a = 9, version = version + 1');
SELECT compare.changes('UPDATE event SET a = a');
SELECT compare.changes('UPDATE event SET id = id + 10 WHERE kind <> ''c''');
SELECT left(compare.changes('UPDATE event SET a = 9, version = 4 WHERE kind = ''b'''), 5);
SELECT compare.changes('UPDATE event SET kind = ''b''');
SELECT compare.effect('UPDATE event SET kind = ''b'' RETURNING id, kind, a, tableoid::regclass::text ~ ''event_b''');
SELECT compare.changes('UPDATE event SET kind = ''d''');
SELECT compare.changes('UPDATE event SET kind = ''b'', version = version + 1');
SELECT compare.changes('UPDATE event SET kind = ''b'', version = version');
SELECT compare.changes('UPDATE event SET kind = ''b'', updated_at = updated_at, created_at = now()');
SELECT left(compare.changes('UPDATE event SET kind = ''b'', version = 4 WHERE kind = ''a'''), 5);
SELECT compare.changes('UPDATE event_b SET a = 9, version = version + 1');
SELECT compare.effect('UPDATE event_b SET kind = ''a''');
SELECT compare.changes('INSERT INTO event (id, kind) VALUES (2, ''b''), (7, ''e'') ON CONFLICT (id, kind) DO UPDATE SET a = 9');
SELECT compare.changes('MERGE INTO event AS e USING (VALUES (1, ''b''), (2, ''a''), (3, ''c'')) AS v (id, kind) ON v.id = e.id WHEN MATCHED THEN UPDATE SET kind = v.kind, a = 9');
-- a partition can have stamps where the whole has none
CREATE TABLE log (id int, kind text, a int, version int) PARTITION BY LIST (kind);
CREATE TABLE log_a PARTITION OF log FOR VALUES IN ('a');
CREATE TABLE log_b (version int, a int, kind text, id int);
ALTER TABLE log ATTACH PARTITION log_b FOR VALUES IN ('b');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON log_b FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT compare.changes('INSERT INTO log VALUES (1, ''a'', 1), (2, ''b'', 2)');
INSERT INTO log VALUES (1, 'a', 1), (2, 'b', 2);
SELECT compare.changes('UPDATE log SET a = 9');
SELECT compare.changes('UPDATE log SET kind = ''b''');
DROP TABLE log;

--
-- Inheritance: a child has the stamps that it declares itself
--
CALL compare.in_both($$
	CREATE TABLE thing (id int PRIMARY KEY, a int, version int, updated_at timestamptz);
	CREATE TABLE tool (b int, updated_at timestamptz, version int) INHERITS (thing);
	CREATE TABLE bare () INHERITS (thing);
	INSERT INTO thing VALUES (1, 1, 5, '2002-01-01 00:00:00Z');
	INSERT INTO tool VALUES (2, 2, 5, '2002-01-01 00:00:00Z', 2);
	INSERT INTO bare VALUES (3, 3, 5, '2002-01-01 00:00:00Z');
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON tool FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=b');
SELECT compare.changes('UPDATE thing SET a = 9');
SELECT compare.effect('UPDATE thing SET a = 9 RETURNING id, a');
SELECT compare.changes('UPDATE thing SET a = 9, version = version + 1');
SELECT compare.changes('UPDATE tool SET b = 9');
SELECT compare.changes('UPDATE ONLY thing SET a = 9');
SELECT compare.changes('INSERT INTO tool (id, b) VALUES (4, 4)');

--
-- Other triggers of the table
--
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	new.title := upper(new.title);
	RETURN new;
END
$$;
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	new.version := old.version + 1;
	RETURN new;
END
$$;
CREATE FUNCTION now_there() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	new.updated_at := now();
	RETURN new;
END
$$;
CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
-- one that edits the row before ours changes it
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON soft.post FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON twin.post FOR EACH ROW EXECUTE FUNCTION shout();
SELECT compare.changes('UPDATE post SET hits = 9 WHERE id = 1');
SELECT compare.effect('UPDATE post SET hits = 9 WHERE id = 1 RETURNING id, title, hits');
SELECT compare.changes('UPDATE post SET title = ''ONE'' WHERE id = 1');
-- one after ours has its say too, but is not seen by it
ALTER TRIGGER before ON soft.post RENAME TO zz;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 1 RETURNING id, title, hits');
SELECT compare.changes('UPDATE post SET hits = 9 WHERE id = 1');
DROP TRIGGER zz ON soft.post;
DROP TRIGGER before ON twin.post;
-- one that undoes the change leaves nothing to stamp
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.title := old.title; RETURN new; END';
CREATE TRIGGER before BEFORE UPDATE ON post FOR EACH ROW EXECUTE FUNCTION undo();
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
DROP TRIGGER before ON post;
-- ones that keep a version or a time themselves
CREATE TRIGGER before BEFORE UPDATE ON post FOR EACH ROW EXECUTE FUNCTION count_up();
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
ALTER TRIGGER before ON post RENAME TO zz;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
DROP TRIGGER zz ON post;
CREATE TRIGGER before BEFORE UPDATE ON post FOR EACH ROW EXECUTE FUNCTION now_there();
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
DROP TRIGGER before ON post;
-- one that skips the row
CREATE TRIGGER before BEFORE UPDATE ON soft.post FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION veto();
CREATE TRIGGER before BEFORE UPDATE ON twin.post FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION veto();
SELECT compare.effect('UPDATE post SET title = ''x'' RETURNING id');
SELECT compare.changes('UPDATE post SET title = ''x''');
DROP TRIGGER before ON soft.post;
DROP TRIGGER before ON twin.post;
-- what AFTER triggers and transition tables see is what is stored
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '%: % -> %', tg_op, (SELECT string_agg(id || ' v' || version, ', ' ORDER BY id) FROM before),
		(SELECT string_agg(id || ' v' || version, ', ' ORDER BY id) FROM after);
	RETURN NULL;
END
$$;
CREATE TRIGGER tell AFTER UPDATE ON post REFERENCING OLD TABLE AS before NEW TABLE AS after EXECUTE FUNCTION tell();
SELECT compare.changes('UPDATE post SET title = ''x''');
DROP TRIGGER tell ON post;
-- an UPDATE OF trigger is asked for by the SET list alone, as documented by the server
CREATE FUNCTION tell_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%: % -> %'', tg_name, old.version, new.version; RETURN NULL; END';
CREATE TRIGGER of_version AFTER UPDATE OF version ON post FOR EACH ROW EXECUTE FUNCTION tell_row();
CREATE TRIGGER when_version AFTER UPDATE ON post FOR EACH ROW WHEN (old.version <> new.version) EXECUTE FUNCTION tell_row();
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', version = 6 WHERE id = 1');
DROP TRIGGER of_version ON post;
DROP TRIGGER when_version ON post;
-- a trigger that updates the same table from within
CREATE FUNCTION next_too() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE post SET title = new.title || '+' WHERE id = new.id + 1;
	RETURN NULL;
END
$$;
CREATE TRIGGER next_too AFTER UPDATE ON post FOR EACH ROW EXECUTE FUNCTION next_too();
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
DROP TRIGGER next_too ON post;
-- constraints see the stamps
BEGIN;
ALTER TABLE post ADD CHECK (version < 7), ADD CHECK (updated_at >= created_at), ALTER created_at SET NOT NULL, ALTER version SET NOT NULL;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT left(compare.changes('UPDATE post SET title = ''x'' WHERE id = 2'), 5);
SELECT compare.changes('INSERT INTO post (id) VALUES (4)');
ROLLBACK;

--
-- Row-level security, and functions that run as somebody else
--
CALL compare.in_both($$
	ALTER TABLE post ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON post TO regress_orm_tenant USING (id <> 2) WITH CHECK (title <> 'secret');
$$);
SELECT compare.as_role('regress_orm_tenant', 'UPDATE post SET title = ''x'' RETURNING id');
SELECT compare.as_role('regress_orm_tenant', 'UPDATE post SET title = ''secret''');
SELECT compare.as_role('regress_orm_tenant', 'INSERT INTO post VALUES (4, ''four'') RETURNING id');
SELECT compare.changes('UPDATE post SET title = ''x''', 'regress_orm_tenant');
-- a policy on a stamp sees the value that is stored
CREATE POLICY fresh ON soft.post AS RESTRICTIVE FOR UPDATE TO regress_orm_tenant USING (true) WITH CHECK (version <= 6 AND updated_at = now());
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1', 'regress_orm_tenant');
-- no privilege on the stamps is needed for them to be kept
CALL compare.in_both($$
	REVOKE ALL ON post FROM regress_orm_tenant;
	GRANT SELECT (id, title), UPDATE (title), INSERT (id, title) ON post TO regress_orm_tenant;
$$);
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1', 'regress_orm_tenant');
SELECT compare.changes('INSERT INTO post (id, title) VALUES (4, ''x'')', 'regress_orm_tenant');
SELECT compare.as_role('regress_orm_tenant', 'UPDATE post SET title = ''x'', version = 6 WHERE id = 1');
CREATE FUNCTION rewrite(key int) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = soft, pg_temp
	AS 'UPDATE post SET title = title || ''!'' WHERE id = key RETURNING version';
SELECT compare.changes('SELECT soft.rewrite(2)', 'regress_orm_tenant');

--
-- Together with soft delete
--
CREATE TABLE note (id int PRIMARY KEY, a int, version int, updated_at timestamptz, deleted_at timestamptz);
INSERT INTO note VALUES (1, 1, 5, '2002-01-01 00:00:00Z', NULL), (2, 2, 5, '2002-01-01 00:00:00Z', NULL), (3, 3, 5, '2002-01-01 00:00:00Z', '2003-01-01 00:00:00Z');
CREATE TRIGGER gone BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
SELECT compare.changes('DELETE FROM note WHERE id = 1 RETURNING id, version');
SELECT compare.changes('DELETE FROM note WHERE id = 1 AND version = 5');
SELECT compare.changes('DELETE FROM note WHERE id = 1 AND version = 4');
SELECT compare.changes('UPDATE note SET a = 9');
SELECT compare.changes('UPDATE note SET deleted_at = NULL WHERE id = 3');
SELECT compare.changes('UPDATE note SET deleted_at = ''2004-01-01 00:00:00Z'', version = 6 WHERE id = 1 AND version = 5');
SELECT compare.changes('DELETE FROM note WHERE deleted_at IS NOT NULL');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'mode=echo');
SELECT compare.changes('DELETE FROM note WHERE id = 1 RETURNING id, version');
SELECT compare.changes('MERGE INTO note USING (VALUES (1)) AS v (id) ON v.id = note.id WHEN MATCHED THEN DELETE');
-- which an UPDATE of the client is not, though it marks the row as well
SELECT left(compare.changes('UPDATE note SET deleted_at = now() WHERE id = 1'), 5);
SELECT left(compare.changes('UPDATE note SET deleted_at = now(), a = 9 WHERE id = 1'), 5);
SELECT left(compare.changes('UPDATE note SET deleted_at = now(), version = 4 WHERE id = 1'), 5);
SELECT compare.changes('UPDATE note SET deleted_at = ''2004-01-01 00:00:00Z'', version = 5 WHERE id = 1');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'ignore=deleted_at');
SELECT compare.changes('DELETE FROM note WHERE id = 1 RETURNING id, version');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP ROLE regress_orm_tenant;
