--
-- created_by and updated_by: who did it, from orm_ext.actor, or else the
-- session's user.
--
CREATE ROLE regress_orm_anna;
CREATE ROLE regress_orm_boss;
GRANT regress_orm_boss TO regress_orm_anna;
CREATE SCHEMA soft;
CREATE SCHEMA twin;
GRANT USAGE ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, title text, hits int, created_by text, updated_by text);
	INSERT INTO post VALUES (1, 'one', 1, 'eve', 'fred'), (2, 'two', 2, NULL, NULL);
	GRANT ALL ON post TO PUBLIC;
$$);
CREATE TRIGGER who BEFORE INSERT OR UPDATE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('created_by=created_by', 'updated_by=updated_by', 'ignore=hits');

--
-- The rule
--
SET orm_ext.actor = 'anna';
SELECT compare.changes('INSERT INTO post VALUES (3)');
SELECT compare.changes('INSERT INTO post VALUES (3, ''three'', 3, ''gil'', ''hal'')');
SELECT compare.changes('UPDATE post SET title = ''x''');
SELECT compare.changes('UPDATE post SET title = title');
SELECT compare.changes('UPDATE post SET hits = 9');
-- who created it stays, but may be told once
SELECT compare.changes('UPDATE post SET created_by = ''ida''');
SELECT compare.changes('UPDATE post SET title = ''x'', created_by = NULL WHERE id = 1');
-- who updated it is whoever is given, if it is another
SELECT compare.changes('UPDATE post SET title = ''x'', updated_by = ''ida'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET updated_by = ''ida'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', updated_by = ''fred'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET updated_by = ''fred'' WHERE id = 1');
SET compare.left_out = 'created_by updated_by';
SELECT compare.effect('UPDATE post SET title = ''x'' RETURNING id, title');
SELECT compare.effect('INSERT INTO post VALUES (3, ''three'', 3, ''gil'', ''hal'') RETURNING *');
RESET compare.left_out;

--
-- Where the actor comes from
--
BEGIN;
SET LOCAL orm_ext.actor = 'gil';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SAVEPOINT s;
SET LOCAL orm_ext.actor = 'hal';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
ROLLBACK TO s;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
COMMIT;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SET orm_ext.actor = '  Anna O''Hara, "x" ';
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
-- without one, the session's user, whatever its role is just now
RESET orm_ext.actor;
SET SESSION AUTHORIZATION regress_orm_anna;
UPDATE post SET title = 'x' WHERE id = 1 RETURNING updated_by;
SET ROLE regress_orm_boss;
UPDATE post SET title = 'y' WHERE id = 1 RETURNING updated_by;
INSERT INTO post VALUES (3) RETURNING created_by, updated_by;
SET orm_ext.actor = 'anna';
UPDATE post SET title = 'z' WHERE id = 1 RETURNING updated_by;
RESET orm_ext.actor;
RESET ROLE;
RESET SESSION AUTHORIZATION;
-- and below SECURITY DEFINER as well
CREATE FUNCTION rewrite(key int) RETURNS text LANGUAGE sql SECURITY DEFINER
	BEGIN ATOMIC UPDATE post SET title = title || '!' WHERE id = key RETURNING updated_by; END;
SET SESSION AUTHORIZATION regress_orm_anna;
SELECT rewrite(1);
RESET SESSION AUTHORIZATION;
-- a function can have an actor of its own
CREATE FUNCTION rewrite_as(key int) RETURNS text LANGUAGE sql SET orm_ext.actor = 'robot'
	AS 'UPDATE post SET title = title || ''!'' WHERE id = key RETURNING updated_by';
SELECT rewrite_as(1);
UPDATE post SET title = 'x' WHERE id = 1 RETURNING updated_by = session_user;

-- beside timestamps, and as fixed as they are
BEGIN;
CREATE TABLE page (id int PRIMARY KEY, a int, created_at timestamptz, updated_at timestamptz, author text, editor text);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON page FOR EACH ROW
	EXECUTE FUNCTION orm_ext.timestamps('created_at', 'updated_at', 'created_by=author', 'updated_by=editor', 'immutable=error');
SET LOCAL orm_ext.actor = 'anna';
INSERT INTO page VALUES (1, 1);
SET LOCAL orm_ext.actor = 'gil';
SELECT compare.changes('UPDATE page SET a = 2');
SELECT compare.refusal('UPDATE page SET author = ''gil''');
SELECT compare.changes('UPDATE page SET a = 2, author = ''anna''');
ROLLBACK;

--
-- Types
--
CREATE DOMAIN login AS varchar(5);
CREATE DOMAIN user_id AS bigint CHECK (value > 0);
CREATE TABLE kinds (id int PRIMARY KEY, a int, t text, v varchar(5), c char(5), n name, i4 int4, i8 int8, u uuid, r regrole, d login, di user_id);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=t');
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=v');
CREATE TRIGGER c BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=c');
CREATE TRIGGER n BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=n');
CREATE TRIGGER d BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=d');
SET orm_ext.actor = 'anna';
INSERT INTO kinds (id) VALUES (1) RETURNING t, v, c, n, d;
-- too long a one is refused as the column refuses it, not cut off
SET orm_ext.actor = 'annabel';
SELECT compare.refusal('UPDATE kinds SET a = 1');
DROP TRIGGER c ON kinds;
SELECT compare.refusal('UPDATE kinds SET a = 1');
DROP TRIGGER d ON kinds;
SELECT compare.refusal('UPDATE kinds SET a = 1');
DROP TRIGGER v ON kinds;
SET orm_ext.actor = 'anna';
UPDATE kinds SET a = 2 RETURNING t, n;
CREATE TRIGGER i4 BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=i4');
CREATE TRIGGER i8 BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=i8');
CREATE TRIGGER di BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=di');
SELECT compare.refusal('UPDATE kinds SET a = 3');
SET orm_ext.actor = '42';
UPDATE kinds SET a = 4 RETURNING t, i4, i8, di;
SET orm_ext.actor = ' 43 ';
UPDATE kinds SET a = 5 RETURNING '>' || t || '<', i4, i8, di;
SET orm_ext.actor = '3000000000';
SELECT compare.refusal('UPDATE kinds SET a = 6');
DROP TRIGGER i4 ON kinds;
UPDATE kinds SET a = 6 RETURNING t, i4, i8, di;
SET orm_ext.actor = '-1';
SELECT compare.refusal('UPDATE kinds SET a = 7');
-- a bad one does no harm where it is not needed
UPDATE kinds SET a = 6 RETURNING t, i8, di;
UPDATE kinds SET a = 7, di = 7, i8 = 8 RETURNING t, i8, di;
-- without one there is no number to set
RESET orm_ext.actor;
UPDATE kinds SET a = 8 RETURNING t = session_user, i8, di;
INSERT INTO kinds (id) VALUES (2) RETURNING t = session_user, i8, di;
DROP TRIGGER i8 ON kinds;
DROP TRIGGER di ON kinds;
CREATE TRIGGER u BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=u');
SET orm_ext.actor = 'anna';
SELECT compare.refusal('UPDATE kinds SET a = 9');
SET orm_ext.actor = '{00000000-0000-0000-0000-00000000000A}';
UPDATE kinds SET a = 9 RETURNING u;
RESET orm_ext.actor;
INSERT INTO kinds (id) VALUES (3) RETURNING u;
DROP TRIGGER u ON kinds;
CREATE TRIGGER r BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=r');
INSERT INTO kinds (id) VALUES (4) RETURNING r = session_user::regrole;
SET orm_ext.actor = 'regress_orm_anna';
UPDATE kinds SET a = 10 WHERE id = 4 RETURNING r;
SET orm_ext.actor = 'regress_orm_nobody';
SELECT compare.refusal('UPDATE kinds SET a = 11');
RESET orm_ext.actor;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP ROLE regress_orm_anna, regress_orm_boss;
