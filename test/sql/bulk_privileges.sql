--
-- Bulk upsert asks for what INSERT ... ON CONFLICT asks for, of columns and of
-- rows: privileges, row-level security, definer's rights.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CREATE ROLE regress_orm_user;
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_admin BYPASSRLS;
GRANT USAGE ON SCHEMA soft, twin TO PUBLIC;
GRANT pg_read_server_files TO regress_orm_user, regress_orm_owner, regress_orm_admin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_privileges.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, title text, secret text DEFAULT 's', n int DEFAULT 0);
	INSERT INTO post SELECT i, 'post ' || i, 'secret', i FROM generate_series(1, 4) AS i;
	CREATE TABLE own (id serial PRIMARY KEY, code text UNIQUE, n int);
	INSERT INTO own (code, n) VALUES ('a', 1), ('b', 2);
	ALTER TABLE own OWNER TO regress_orm_owner;
$$);

-- A call as the user, next to the statement that it stands for.
CREATE FUNCTION compare.as_user() RETURNS text
LANGUAGE sql AS $$
SELECT concat_ws(' | ', '',
	'update: ' || compare.after($s$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "x"}, {"id": 9, "title": "y"}]')$s$,
								$s$INSERT INTO post (id, title) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET title = excluded.title$s$, 'regress_orm_user'),
	'nothing: ' || compare.after($s$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "x"}, {"id": 9, "title": "y"}]', on_conflict => 'nothing')$s$,
								 $s$INSERT INTO post (id, title) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO NOTHING$s$, 'regress_orm_user'),
	'no change: ' || compare.after($s$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "post 1"}]')$s$,
								   $s$INSERT INTO post (id, title) VALUES (1, 'post 1') ON CONFLICT (id) DO UPDATE SET title = excluded.title WHERE post.title <> excluded.title$s$, 'regress_orm_user'),
	'new: ' || compare.after($s$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 9, "title": "y"}]')$s$,
							 $s$INSERT INTO post (id, title) VALUES (9, 'y') ON CONFLICT (id) DO UPDATE SET title = excluded.title$s$, 'regress_orm_user'),
	'returning: ' || compare.after($s$SELECT result FROM orm_ext.bulk_upsert_returning(NULL::post, '[{"id": 1, "title": "x"}]')$s$,
								   $s$INSERT INTO post (id, title) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING post$s$, 'regress_orm_user'))
$$;
CREATE PROCEDURE compare.asks(grants text)
LANGUAGE plpgsql AS $$
DECLARE
	answers text;
BEGIN
	IF grants <> '' THEN
		CALL compare.in_both(format('GRANT %s ON post TO regress_orm_user', grants));
	END IF;
	answers := compare.as_user();
	RAISE NOTICE '%', coalesce(nullif(grants, ''), 'none') || answers;
	-- by a statement
	CREATE TRIGGER looks_on AFTER INSERT OR UPDATE ON soft.post EXECUTE FUNCTION compare.look_on();
	IF compare.as_user() <> answers THEN
		RAISE NOTICE 'DIFFERENT by a statement: %', compare.as_user();
	END IF;
	DROP TRIGGER looks_on ON soft.post;
	CALL compare.in_both('REVOKE ALL ON post FROM regress_orm_user');
	CALL compare.in_both('REVOKE ALL (id, title, secret, n) ON post FROM regress_orm_user');
END
$$;
CALL compare.asks('');
CALL compare.asks('SELECT');
CALL compare.asks('INSERT');
CALL compare.asks('UPDATE');
CALL compare.asks('INSERT, UPDATE');
CALL compare.asks('SELECT, INSERT');
CALL compare.asks('SELECT, UPDATE');
CALL compare.asks('SELECT, INSERT, UPDATE');
-- of columns
CALL compare.asks('SELECT (id, title), INSERT (id, title), UPDATE (title)');
CALL compare.asks('SELECT (id), INSERT (id, title), UPDATE (title)');
CALL compare.asks('SELECT (id, title), INSERT (id), UPDATE (title)');
CALL compare.asks('SELECT (id, title), INSERT (id, title), UPDATE (n)');
CALL compare.asks('SELECT (title), INSERT (id, title), UPDATE (title)');
CALL compare.asks('SELECT, INSERT (id, title), UPDATE (title)');
CALL compare.in_both('GRANT SELECT (id, title, n), INSERT (id, title, n), UPDATE (title, n) ON post TO regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "x"}, {"id": 9, "title": "y"}, {"id": 2, "n": 20}]')$$,
					 $$INSERT INTO post (id, title, n) VALUES (1, 'x', 1), (9, 'y', 0), (2, 'post 2', 20) ON CONFLICT (id) DO UPDATE SET title = excluded.title, n = excluded.n$$, 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "x"}, {"id": 9, "secret": "y"}]')$$,
					 $$INSERT INTO post (id, title, secret) VALUES (1, 'x', 'y') ON CONFLICT (id) DO UPDATE SET title = excluded.title$$, 'regress_orm_user');
-- a column that is neither given nor granted is not asked for, even though the row proposed has it
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "n": 50}]')$$,
					 $$INSERT INTO post (id, n) VALUES (1, 50) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$, 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('post', '[{"id": 1, "title": "x", "secret": "y"}]', update_columns => '{title}')$$,
					 $$INSERT INTO post (id, title, secret) VALUES (1, 'x', 'y') ON CONFLICT (id) DO UPDATE SET title = excluded.title$$, 'regress_orm_user');
-- errors tell nothing of a row that may not be read
CALL compare.in_both('ALTER TABLE post ADD CONSTRAINT small CHECK (n < 100)');
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('soft.post', '[{"id": 1, "n": 100}]')$$, 'regress_orm_user');
SELECT * FROM compare.failure($$INSERT INTO soft.post (id, n) VALUES (1, 100) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$, 'regress_orm_user');
-- a granted plan is asked anew
SET ROLE regress_orm_user;
PREPARE put AS SELECT * FROM orm_ext.bulk_upsert('soft.post', '[{"id": 1, "title": "x"}]');
BEGIN;
EXECUTE put;
ROLLBACK;
RESET ROLE;
REVOKE UPDATE (title) ON soft.post FROM regress_orm_user;
SELECT * FROM compare.failure('EXECUTE put', 'regress_orm_user');
GRANT UPDATE (title) ON soft.post TO regress_orm_user;
REVOKE INSERT (title) ON soft.post FROM regress_orm_user;
SELECT * FROM compare.failure('EXECUTE put', 'regress_orm_user');
GRANT INSERT (title) ON soft.post TO regress_orm_user;
SET ROLE regress_orm_user;
BEGIN;
EXECUTE put;
ROLLBACK;
RESET ROLE;
CALL compare.in_both('REVOKE ALL (id, title, secret, n) ON post FROM regress_orm_user');
-- an owner has what the owner has, sequences included
CALL compare.bulk('own', '[{"code": "a", "n": 5}, {"code": "c", "n": 6}]', '{"conflict": ["code"]}', who => 'regress_orm_owner');
CALL compare.in_both('GRANT SELECT, INSERT, UPDATE ON own TO regress_orm_user');
-- others need the sequence's only where they take a number
CALL compare.bulk('own', '[{"code": "a", "n": 5}]', '{"conflict": ["code"]}', who => 'regress_orm_user');
CALL compare.bulk('own', '[{"code": "a", "n": 5}, {"code": "c", "n": 6}]', '{"conflict": ["code"]}', who => 'regress_orm_user');
CALL compare.in_both('GRANT USAGE ON SEQUENCE own_id_seq TO regress_orm_user');
CALL compare.bulk('own', '[{"code": "a", "n": 5}, {"code": "c", "n": 6}]', '{"conflict": ["code"]}', who => 'regress_orm_user');
-- schemas: the table can be named, and is all the same
REVOKE USAGE ON SCHEMA soft FROM PUBLIC;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('soft.own', '[{"code": "a"}]', '{code}')$$, 'regress_orm_user');
GRANT USAGE ON SCHEMA soft TO PUBLIC;
-- COPY
COPY (VALUES (1, 'x'), (9, 'y')) TO :'file';
SELECT * FROM compare.failure(format('COPY soft.post (id, title) FROM %L WITH (on_conflict ''update'')', :'file'), 'regress_orm_user');
CALL compare.in_both('GRANT SELECT (id, title), INSERT (id, title), UPDATE (title) ON post TO regress_orm_user');
SET ROLE regress_orm_user;
BEGIN;
COPY soft.post (id, title) FROM STDIN WITH (on_conflict 'update');
1	x
9	y
\.
SELECT id, title FROM soft.post ORDER BY id;
ROLLBACK;
RESET ROLE;
SELECT * FROM compare.failure(format('COPY soft.post (id, secret) FROM %L WITH (on_conflict ''update'')', :'file'), 'regress_orm_user');
SELECT * FROM compare.failure(format('COPY soft.post (id, secret) FROM %L WITH (on_conflict ''nothing'')', :'file'), 'regress_orm_user');
SELECT * FROM compare.failure(format('COPY soft.post FROM %L WITH (on_conflict ''update'')', :'file'), 'regress_orm_user');
CALL compare.in_both('REVOKE ALL (id, title, secret, n) ON post FROM regress_orm_user');

--
-- SECURITY DEFINER, and views of no help
--
CREATE FUNCTION soft.put(rows jsonb) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = soft
	AS $$SELECT u::text FROM orm_ext.bulk_upsert('own', rows, '{code}') AS u$$;
ALTER FUNCTION soft.put OWNER TO regress_orm_owner;
CALL compare.in_both('REVOKE ALL ON own FROM regress_orm_user');
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('soft.own', '[{"code": "a"}]', '{code}')$$, 'regress_orm_user');
BEGIN;
SET ROLE regress_orm_user;
SELECT soft.put('[{"code": "a", "n": 9}, {"code": "z"}]');
\set VERBOSITY terse
SELECT * FROM orm_ext.bulk_upsert('soft.own', '[{"code": "a", "n": 9}, {"code": "z"}]', '{code}');
\set VERBOSITY default
ROLLBACK;
-- nobody's operators, functions or casts on the path get in between
CREATE SCHEMA trap;
GRANT ALL ON SCHEMA trap TO regress_orm_user;
SET ROLE regress_orm_user;
CREATE FUNCTION trap.eq(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.jsonb_populate_record(anyelement, jsonb) RETURNS anyelement LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR trap.= (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.eq);
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.eq);
RESET ROLE;
BEGIN;
SET LOCAL search_path = trap, pg_catalog, soft;
SELECT inserted, updated, unchanged, skipped FROM orm_ext.bulk_upsert('soft.own', '[{"code": "a", "n": 9}, {"code": "z"}, {"code": "b", "n": 2}, {"code": "z"}]', '{code}');
SELECT inserted, updated, unchanged, skipped FROM orm_ext.bulk_upsert('soft.post', '[{"id": 1, "title": "a", "n": 1}]', version_column => 'n');
ROLLBACK;
SET client_min_messages = warning;
DROP SCHEMA trap CASCADE;
CALL compare.in_both('DROP TABLE own CASCADE');
RESET client_min_messages;

--
-- Row-level security: the policies of INSERT, SELECT and UPDATE, as ON CONFLICT asks them
--
CALL compare.in_both($$
	CREATE TABLE doc (id int PRIMARY KEY, owner text, title text);
	INSERT INTO doc SELECT i, CASE i % 2 WHEN 0 THEN 'me' ELSE 'other' END, 'doc ' || i FROM generate_series(1, 6) AS i;
	GRANT ALL ON doc TO regress_orm_user, regress_orm_admin;
	ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
$$);
\set mine '[{"id": 2, "owner": "me", "title": "x"}, {"id": 4, "owner": "me", "title": "doc 4"}, {"id": 8, "owner": "me", "title": "y"}]'
\set plain_mine 'INSERT INTO doc VALUES (2, \'me\', \'x\'), (4, \'me\', \'doc 4\'), (8, \'me\', \'y\') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title'
SELECT compare.after(format('SELECT * FROM orm_ext.bulk_upsert(''doc'', %L)', :'mine'), :'plain_mine', 'regress_orm_user');
CALL compare.bulk('doc', :'mine', who => 'regress_orm_admin');
CALL compare.in_both($$CREATE POLICY own ON doc USING (owner = 'me') WITH CHECK (owner = 'me' AND title <> 'bad')$$);
CALL compare.bulk('doc', :'mine', who => 'regress_orm_user');
CALL compare.bulk('doc', :'mine', '{"on_conflict": "nothing"}', who => 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 2, "title": "x"}, {"id": 4, "title": "doc 4"}]', who => 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 2, "title": "bad"}]', who => 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 9, "owner": "me", "title": "bad"}]', who => 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 2, "owner": "other"}]', who => 'regress_orm_user');
-- a row that he may not see is in the way: refused, as by ON CONFLICT
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 1, "owner": "me", "title": "x"}]')$$,
					 $$INSERT INTO doc VALUES (1, 'me', 'x') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title$$, 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 1, "owner": "me", "title": "x"}, {"id": 8, "owner": "me", "title": "x"}]', on_conflict => 'nothing')$$,
					 $$INSERT INTO doc VALUES (1, 'me', 'x'), (8, 'me', 'x') ON CONFLICT (id) DO NOTHING$$, 'regress_orm_user');
-- nor does it tell him that it is unchanged, or what is in it
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 1, "owner": "other", "title": "doc 1"}]')$$,
					 $$INSERT INTO doc VALUES (1, 'other', 'doc 1') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title$$, 'regress_orm_user');
SELECT compare.after($$SELECT action, result FROM orm_ext.bulk_upsert_returning(NULL::doc, '[{"id": 1, "owner": "me", "title": "doc 1"}]', on_conflict => 'nothing')$$,
					 $$INSERT INTO doc VALUES (1, 'me', 'doc 1') ON CONFLICT (id) DO NOTHING RETURNING doc$$, 'regress_orm_user');
SELECT compare.after($$SELECT action, result FROM orm_ext.bulk_upsert_returning(NULL::doc, '[{"id": 1, "title": "x"}]')$$,
					 $$INSERT INTO doc (id, title) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING doc$$, 'regress_orm_user');
-- policies for each command
CALL compare.in_both($$
	DROP POLICY own ON doc;
	CREATE POLICY reading ON doc FOR SELECT USING (true);
	CREATE POLICY adding ON doc FOR INSERT WITH CHECK (title <> 'bad');
	CREATE POLICY changing ON doc FOR UPDATE USING (owner = 'me') WITH CHECK (title <> 'worse');
$$);
CALL compare.bulk('doc', '[{"id": 2, "owner": "me", "title": "x"}, {"id": 1, "owner": "other", "title": "doc 1"}, {"id": 9, "owner": "z", "title": "y"}]', who => 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 1, "owner": "me", "title": "x"}]')$$,
					 $$INSERT INTO doc VALUES (1, 'me', 'x') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title$$, 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 2, "owner": "me", "title": "worse"}]', who => 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 2, "owner": "me", "title": "bad"}]')$$,
					 $$INSERT INTO doc VALUES (2, 'me', 'bad') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title$$, 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 9, "owner": "z", "title": "worse"}]', who => 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 9, "owner": "z", "title": "bad"}]', who => 'regress_orm_user');
-- only part of the rows can be read, restrictive policies, functions and sub-selects in them
CALL compare.in_both($$
	DROP POLICY reading ON doc;
	CREATE TABLE friend (name text);
	INSERT INTO friend VALUES ('me'), ('z');
	GRANT SELECT ON friend TO regress_orm_user, regress_orm_owner;
	CREATE POLICY reading ON doc FOR SELECT USING (owner IN (SELECT name FROM friend));
	CREATE POLICY not_first ON doc AS RESTRICTIVE FOR UPDATE USING (id > 2);
$$);
CALL compare.bulk('doc', '[{"id": 4, "owner": "me", "title": "x"}, {"id": 9, "owner": "z", "title": "y"}]', who => 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 2, "owner": "me", "title": "x"}]')$$,
					 $$INSERT INTO doc VALUES (2, 'me', 'x') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title$$, 'regress_orm_user');
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('doc', '[{"id": 9, "owner": "unknown", "title": "x"}]')$$,
					 $$INSERT INTO doc VALUES (9, 'unknown', 'x') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, title = excluded.title$$, 'regress_orm_user');
-- another role in the same session, owner, FORCE, row_security = off
SET ROLE regress_orm_user;
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('soft.doc', '[{"id": 4, "owner": "me", "title": "x"}]');
SET ROLE regress_orm_admin;
SELECT * FROM orm_ext.bulk_upsert('soft.doc', '[{"id": 4, "owner": "me", "title": "y"}, {"id": 2, "owner": "me", "title": "bad"}]');
ROLLBACK;
RESET ROLE;
CALL compare.in_both('ALTER TABLE doc OWNER TO regress_orm_owner');
CALL compare.bulk('doc', '[{"id": 1, "title": "bad"}, {"id": 9, "title": "bad"}]', who => 'regress_orm_owner');
CALL compare.in_both('ALTER TABLE doc FORCE ROW LEVEL SECURITY');
CALL compare.bulk('doc', '[{"id": 9, "owner": "me", "title": "bad"}]', who => 'regress_orm_owner');
CALL compare.in_both('ALTER TABLE doc NO FORCE ROW LEVEL SECURITY');
SET row_security = off;
CALL compare.bulk('doc', '[{"id": 4, "owner": "me", "title": "x"}]', who => 'regress_orm_user');
CALL compare.bulk('doc', '[{"id": 4, "owner": "me", "title": "x"}]', who => 'regress_orm_admin');
RESET row_security;
-- COPY honours them, too, rather than refuse
SET ROLE regress_orm_user;
BEGIN;
COPY soft.doc FROM STDIN WITH (on_conflict 'update');
4	me	copied
9	z	y
\.
SELECT * FROM soft.doc ORDER BY id;
ROLLBACK;
RESET ROLE;
COPY (VALUES (9, 'z', 'bad')) TO :'file';
SELECT * FROM compare.failure(format('COPY soft.doc FROM %L WITH (on_conflict ''update'')', :'file'), 'regress_orm_user');
SELECT * FROM compare.failure(format('COPY soft.doc FROM %L', :'file'), 'regress_orm_user');

--
-- The extension's own functions are for everybody
--
SET ROLE regress_orm_user;
SELECT count(*) FROM orm_ext.last_bulk_result();
BEGIN;
CREATE TEMP TABLE mine (id int PRIMARY KEY, n int);
SELECT * FROM orm_ext.bulk_upsert('mine', '[{"id": 1}]');
ROLLBACK;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP PROCEDURE compare.asks;
DROP FUNCTION compare.as_user;
DROP ROLE regress_orm_user, regress_orm_owner, regress_orm_admin;
