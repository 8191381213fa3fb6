--
-- Triggers of users on both ends of a foreign key, stamps of rows that go along,
-- and the order in which it all happens.
--
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at n';
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, v int DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent ON DELETE CASCADE, v int DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE below (id int PRIMARY KEY, up int REFERENCES child ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE guard (id int PRIMARY KEY, up int REFERENCES parent, deleted_at timestamptz);
	CREATE TABLE strict (id int PRIMARY KEY, up int REFERENCES parent ON DELETE RESTRICT, deleted_at timestamptz);
	INSERT INTO parent SELECT generate_series(1, 6);
	INSERT INTO child VALUES (11, 1), (12, 1), (21, 2), (41, 4), (51, 5);
	INSERT INTO below VALUES (111, 11), (112, 11), (211, 21);
	INSERT INTO guard VALUES (4, 4);
	INSERT INTO strict VALUES (5, 5);
	CREATE TABLE told (n serial, what text);
	-- what both sides have in common: when, which table, which row
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %I.told (what) VALUES (%L)', tg_table_schema,
			concat_ws(' ', tg_argv[0], tg_table_name, tg_level, CASE WHEN tg_level = 'ROW' THEN old.id END));
		RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
	END
	$f$;
	CREATE FUNCTION tell_all() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %I.told (what) VALUES (%L)', tg_table_schema,
			(SELECT concat_ws(' ', tg_argv[0], tg_table_name, count(*), string_agg(id::text, ' ' ORDER BY id)) FROM old_rows));
		RETURN NULL;
	END
	$f$;
$$);
SELECT compare.manage('parent', 'child', 'below', 'guard', 'strict');
DO $$
DECLARE
	side text;
	name text;
BEGIN
	FOREACH side IN ARRAY '{soft,twin}'::text[] LOOP
		FOREACH name IN ARRAY '{parent,child,below}'::text[] LOOP
			EXECUTE format('CREATE TRIGGER tell_before BEFORE %1$s ON %2$s.%3$s FOR EACH ROW EXECUTE FUNCTION %2$s.tell(''before'')', CASE side WHEN 'soft' THEN 'UPDATE' ELSE 'DELETE' END, side, name);
			EXECUTE format('CREATE TRIGGER tell_after AFTER %1$s ON %2$s.%3$s FOR EACH ROW EXECUTE FUNCTION %2$s.tell(''after'')', CASE side WHEN 'soft' THEN 'UPDATE' ELSE 'DELETE' END, side, name);
			EXECUTE format('CREATE TRIGGER told_before BEFORE %1$s ON %2$s.%3$s EXECUTE FUNCTION %2$s.tell(''before'')', CASE side WHEN 'soft' THEN 'UPDATE' ELSE 'DELETE' END, side, name);
			EXECUTE format('CREATE TRIGGER told_after AFTER %1$s ON %2$s.%3$s EXECUTE FUNCTION %2$s.tell(''after'')', CASE side WHEN 'soft' THEN 'UPDATE' ELSE 'DELETE' END, side, name);
			EXECUTE format('CREATE TRIGGER told_rows AFTER %1$s ON %2$s.%3$s REFERENCING OLD TABLE AS old_rows EXECUTE FUNCTION %2$s.tell_all(''rows'')', CASE side WHEN 'soft' THEN 'UPDATE' ELSE 'DELETE' END, side, name);
		END LOOP;
	END LOOP;
END
$$;

--
-- Which triggers fire for the rows that go along, and when.  The same as of plain
-- tables; but what the rows that go along ask for comes before triggers for rows of
-- the statement itself, not after them.
--
SELECT compare.fk('DELETE FROM parent WHERE id = 3');
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 2)');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
SELECT compare.fk('DELETE FROM parent WHERE id = 5');
BEGIN;
DELETE FROM soft.parent WHERE id IN (1, 2);
DELETE FROM twin.parent WHERE id IN (1, 2);
SELECT s.n, s.what, t.what FROM (SELECT row_number() OVER (ORDER BY n) AS n, what FROM soft.told) AS s
	FULL JOIN (SELECT row_number() OVER (ORDER BY n) AS n, what FROM twin.told) AS t USING (n) ORDER BY n;
ROLLBACK;
SELECT compare.fk('UPDATE parent SET deleted_at = now() WHERE id = 1', 'DELETE FROM parent WHERE id = 1');
-- in turn, by their order among the server's
CALL compare.in_both($$
	CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format('INSERT INTO %1$I.told (what) SELECT concat_ws('' '', %2$L, %3$s, ''children'', count(*)) FROM %1$I.child WHERE up = %3$s',
			tg_table_schema, tg_name, old.id);
		RETURN NULL;
	END
	$f$;
$$);
CREATE TRIGGER "A early" AFTER UPDATE ON soft.parent FOR EACH ROW EXECUTE FUNCTION soft.look();
CREATE TRIGGER late AFTER UPDATE ON soft.parent FOR EACH ROW EXECUTE FUNCTION soft.look();
CREATE TRIGGER "A early" AFTER DELETE ON twin.parent FOR EACH ROW EXECUTE FUNCTION twin.look();
CREATE TRIGGER late AFTER DELETE ON twin.parent FOR EACH ROW EXECUTE FUNCTION twin.look();
BEGIN;
DELETE FROM soft.parent WHERE id IN (1, 2);
DELETE FROM twin.parent WHERE id IN (1, 2);
SELECT s.what, t.what FROM (SELECT row_number() OVER (ORDER BY n) AS n, what FROM soft.told WHERE what ~ 'early|late') AS s
	FULL JOIN (SELECT row_number() OVER (ORDER BY n) AS n, what FROM twin.told WHERE what ~ 'early|late') AS t USING (n) ORDER BY n;
ROLLBACK;
SELECT compare.fk('TRUNCATE told');
CALL compare.in_both('DROP TRIGGER "A early" ON parent; DROP TRIGGER late ON parent; DROP FUNCTION look() CASCADE');
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger WHERE tgname ~ '^t(ell|old)_' LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);
	END LOOP;
END
$$;

--
-- BEFORE UPDATE triggers have their say
--
CREATE FUNCTION soft.say() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	CASE tg_argv[0]
		WHEN 'mark' THEN
			IF new.v = 9 THEN new.deleted_at := '2001-01-01'; END IF;
		WHEN 'live' THEN new.deleted_at := NULL;
		WHEN 'date' THEN new.deleted_at := '1999-12-31 23:59:59+00';
		WHEN 'skip' THEN RETURN NULL;
		WHEN 'move' THEN new.up := 6;
		WHEN 'note' THEN new.v := new.v + 1;
		WHEN 'fail' THEN RAISE 'not this one' USING ERRCODE = 'P0042';
	END CASE;
	RETURN new;
END
$$;
SET search_path = soft;
-- a trigger deletes the row while something else is changed
CREATE TRIGGER say BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION say('mark');
SELECT compare.fk('UPDATE parent SET v = 9 WHERE id = 1', 'DELETE FROM parent WHERE id = 1');
SELECT compare.fk('UPDATE parent SET v = 9 WHERE id = 4', 'DELETE FROM parent WHERE id = 4');
SELECT compare.fk('UPDATE parent SET v = 8 WHERE id = 1');
SELECT compare.changes('UPDATE parent SET v = 9 WHERE id = 2');
DROP TRIGGER say ON parent;
-- it lets the row live, or keeps it from being touched
CREATE TRIGGER say BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION say('live');
SELECT compare.changes('UPDATE parent SET deleted_at = now() WHERE id = 1');
SELECT compare.changes('DELETE FROM parent WHERE id = 4');
DROP TRIGGER say ON parent;
CREATE TRIGGER say BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION say('skip');
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
SELECT compare.changes('DELETE FROM parent WHERE id = 4');
DROP TRIGGER say ON parent;
-- it says when
CREATE TRIGGER say BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION say('date');
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
DROP TRIGGER say ON parent;
-- and on a child
CREATE TRIGGER say BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION say('note');
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
DROP TRIGGER say ON child;
CREATE TRIGGER say BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION say('date');
SELECT compare.changes('DELETE FROM parent WHERE id = 2');
DROP TRIGGER say ON child;
CREATE TRIGGER say BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION say('fail');
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
SELECT compare.changes('DELETE FROM parent WHERE id = 3');
DROP TRIGGER say ON child;
-- a child that its trigger keeps alive, whatever that is worth: plain DELETE leaves it too
CREATE TRIGGER say BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION say('skip');
CREATE FUNCTION twin.stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER say BEFORE DELETE ON twin.child FOR EACH ROW EXECUTE FUNCTION twin.stay();
SELECT split_part(compare.fk('DELETE FROM parent WHERE id = 1'), '; DANGLING', 1);
DROP TRIGGER say ON child;
DROP TRIGGER say ON twin.child;
CREATE TRIGGER say BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION say('move');
SELECT compare.changes('DELETE FROM parent WHERE id = 1');
DROP TRIGGER say ON child;
RESET search_path;

--
-- AFTER triggers: they may do away with what would be in the way, or bring something
--
CALL compare.in_both($$
	CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		EXECUTE format(tg_argv[0], old.id);
		RETURN NULL;
	END
	$f$;
$$);
CREATE PROCEDURE compare.after_delete(name text, rel text, action text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON soft.%I FOR EACH ROW WHEN (old.deleted_at IS NULL AND new.deleted_at IS NOT NULL) EXECUTE FUNCTION soft.act(%L)', name, rel, action);
	EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON twin.%I FOR EACH ROW EXECUTE FUNCTION twin.act(%L)', name, rel, action);
END
$$;
CALL compare.after_delete('act', 'parent', 'DELETE FROM guard WHERE up = %s');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
CALL compare.after_delete('act', 'parent', 'UPDATE child SET up = 6 WHERE up = %s');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
CALL compare.after_delete('act', 'parent', 'INSERT INTO child VALUES (99, %s)');
SELECT compare.fk('DELETE FROM parent WHERE id = 3');
CALL compare.after_delete('act', 'parent', 'DELETE FROM parent WHERE id = %s + 1');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 2)');
SELECT compare.fk('DELETE FROM parent WHERE id = 3');
CALL compare.in_both('DROP TRIGGER act ON parent');
CALL compare.after_delete('act', 'child', 'UPDATE parent SET v = v + 1 WHERE id = (SELECT 6 WHERE %s > 0)');
SELECT compare.fk('DELETE FROM parent WHERE id IN (1, 6)');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
CALL compare.after_delete('act', 'child', 'DELETE FROM child WHERE id <> %s');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
CALL compare.in_both('DROP TRIGGER act ON child');
-- an early one, before the server's own: too late here, where foreign keys come first
CALL compare.after_delete('A act', 'parent', 'DELETE FROM guard WHERE up = %s');
SELECT compare.changes('DELETE FROM parent WHERE id = 4');
CALL compare.in_both('DROP TRIGGER "A act" ON parent');
-- BEFORE triggers that delete the children first, as many do by hand
CREATE TRIGGER act BEFORE UPDATE ON soft.parent FOR EACH ROW WHEN (old.deleted_at IS NULL AND new.deleted_at IS NOT NULL) EXECUTE FUNCTION soft.act('DELETE FROM guard WHERE up = %s');
DO $$
BEGIN
	CREATE OR REPLACE FUNCTION soft.act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE format(tg_argv[0], old.id); RETURN new; END';
	CREATE OR REPLACE FUNCTION twin.act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE format(tg_argv[0], old.id); RETURN old; END';
END
$$;
CREATE TRIGGER act BEFORE DELETE ON twin.parent FOR EACH ROW EXECUTE FUNCTION twin.act('DELETE FROM guard WHERE up = %s');
SELECT compare.fk('DELETE FROM parent WHERE id = 4');
CALL compare.in_both('DROP TRIGGER act ON parent');

--
-- Stamps of what goes along are those of a row that is deleted
--
CREATE TABLE soft.root (id int PRIMARY KEY, version int NOT NULL DEFAULT 1, updated_at timestamptz DEFAULT '2000-01-01', deleted_at timestamptz);
CREATE TABLE soft.leaf (id int PRIMARY KEY, up int REFERENCES soft.root ON DELETE CASCADE, version int NOT NULL DEFAULT 1, updated_at timestamptz DEFAULT '2000-01-01', deleted_at timestamptz);
SELECT compare.manage('root', 'leaf');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.root FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.leaf FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
SET search_path = soft;
INSERT INTO root (id) VALUES (1), (2);
INSERT INTO leaf (id, up) VALUES (11, 1), (12, 1), (21, 2);
SELECT compare.changes('DELETE FROM leaf WHERE id = 11');
SELECT compare.changes('DELETE FROM root WHERE id = 1');
SELECT compare.changes('UPDATE root SET deleted_at = now() WHERE id = 2');
-- who goes touches a parent that stays
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON leaf FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('up', 'updated_at');
UPDATE root SET updated_at = '2000-01-01';
DELETE FROM leaf WHERE id = 11;
SELECT id, updated_at > '2000-01-02' FROM root ORDER BY id;
DELETE FROM root WHERE id = 2;
SELECT id, updated_at = now(), version, deleted_at IS NULL FROM root WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;
SELECT id, version, deleted_at IS NULL FROM leaf WHERE orm_ext.with_deleted(deleted_at) ORDER BY id;

--
-- A row that a trigger writes again, before the server has checked it: that check
-- is of a version that is no more, so the second one must not be spared
--
CREATE TABLE again_parent (id int PRIMARY KEY, gone timestamptz);
CREATE TABLE again_child (id int PRIMARY KEY, parent_id int REFERENCES again_parent, n int);
CREATE TRIGGER soft_delete BEFORE DELETE ON again_parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone');
CREATE FUNCTION write_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		UPDATE again_child SET n = 1 WHERE id = new.id;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER "A" AFTER INSERT OR UPDATE ON again_child FOR EACH ROW EXECUTE FUNCTION write_again();
INSERT INTO again_child VALUES (1, 99);
INSERT INTO again_parent VALUES (5);
INSERT INTO again_child VALUES (2, 5);
UPDATE again_child SET parent_id = 98 WHERE id = 2;
CREATE TABLE again_self (id int PRIMARY KEY, parent_id int REFERENCES again_parent,
	self_id int REFERENCES again_self ON UPDATE SET NULL);
INSERT INTO again_self VALUES (34, 5, 34);
UPDATE again_self SET id = 38, parent_id = 66;
RESET search_path;

SET client_min_messages = warning;
DROP PROCEDURE compare.after_delete(text, text, text);
DROP SCHEMA soft, twin CASCADE;
