--
-- orm_ext.version(): which version a row has after a statement, in every mode
-- and for every type, so that it agrees with what each ORM sends.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
SET search_path = soft;
\pset format unaligned

--
-- The rule.  One table for every type and mode, with a row of each state; the
-- answers of all types must be the same.
--
CREATE TABLE kind (type text, stored text, next text, older text, newer text);
INSERT INTO kind VALUES
	('int2', '5', '6', '4', '7'),
	('int4', '5', '6', '4', '7'),
	('int8', '5', '6', '4', '7'),
	('timestamptz', '2001-02-03 04:05:06Z', '2001-02-03 04:05:07Z', '2001-02-03 04:05:05Z', NULL),
	('uuid', '00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000006', NULL, NULL),
	('small', '5', '6', '4', '7');
CREATE DOMAIN small AS int2 CHECK (value > 0);
DO $$
DECLARE
	k kind;
	mode text;
BEGIN
	FOR k IN TABLE kind LOOP
		FOREACH mode IN ARRAY ARRAY['auto', 'strict', 'echo'] LOOP
			EXECUTE format('CREATE TABLE %1$I (id int PRIMARY KEY, a int, hits int, version %2$s)',
						   k.type || ' ' || mode, k.type);
			EXECUTE format('INSERT INTO %1$I VALUES (1, 1, 1, %2$L), (2, 2, 2, NULL)', k.type || ' ' || mode, k.stored);
			EXECUTE format('CREATE TRIGGER version BEFORE INSERT OR UPDATE ON %1$I
						    FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''version'', %2$L, ''ignore=hits'')',
						   k.type || ' ' || mode, 'mode=' || mode);
		END LOOP;
	END LOOP;
END
$$;

-- What becomes of the version: stored (stays), given, bumped, or an error.  The
-- statement must change one row, and RETURNING must tell what is stored.
CREATE FUNCTION outcome(k kind, mode text, statement text) RETURNS text
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
DECLARE
	name text := quote_ident(k.type || ' ' || mode);
	given text := CASE WHEN statement ~ '{next}' THEN k.next WHEN statement ~ '{older}' THEN k.older
		WHEN statement ~ '{newer}' THEN k.newer END;
	before text;
	returned text;
	after text;
	n bigint;
	result text;
BEGIN
	statement := replace(statement, '{t}', name);
	statement := replace(statement, '{stored}', quote_literal(k.stored) || '::' || k.type);
	IF statement ~ '[{]' THEN
		IF given IS NULL THEN
			RETURN NULL;
		END IF;
		EXECUTE format('SELECT %L::%s', given, k.type) INTO given;
		statement := regexp_replace(statement, '[{]\w+[}]', quote_literal(given) || '::' || k.type);
	END IF;
	EXECUTE format('SELECT version FROM %s WHERE id = %s', name, substring(statement FROM 'id = (\d)'))
		INTO before;
	EXECUTE statement INTO returned;
	GET DIAGNOSTICS n = ROW_COUNT;
	EXECUTE format('SELECT version FROM %s WHERE id = %s', name, substring(statement FROM 'id = (\d)'))
		INTO after;
	result := CASE
		WHEN n <> 1 THEN n || ' ROWS'
		WHEN returned IS DISTINCT FROM after THEN 'RETURNED ' || returned
		WHEN after IS NOT DISTINCT FROM before THEN 'stored'
		WHEN after = given THEN 'given'
		WHEN after IS NULL THEN 'NULL'
		WHEN before IS NULL AND k.type ~ 'int|small' AND after = '1' THEN 'first'
		WHEN before IS NULL AND k.type = 'uuid' THEN 'first'
		WHEN before IS NULL AND k.type = 'timestamptz' AND after::timestamptz = now() THEN 'first'
		WHEN k.type ~ 'int|small' AND after::int = before::int + 1 THEN 'bumped'
		WHEN k.type = 'uuid' AND substring(after, 15, 1) = '4' THEN 'bumped'
		WHEN k.type = 'timestamptz' AND after::timestamptz = now() THEN 'bumped'
		ELSE 'WRONG ' || after END;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN
		RETURN result;
	WHEN OTHERS THEN
		RETURN SQLSTATE;
END
$$;

-- Statements in all modes; the types that answer otherwise than int4 would be named.
CREATE FUNCTION outcomes(statement text)
RETURNS TABLE (auto text, strict text, echo text, statement text)
LANGUAGE sql SET debug_discard_caches = 0 AS $$
	SELECT string_agg(DISTINCT o, ', ') FILTER (WHERE mode = 'auto'),
		string_agg(DISTINCT o, ', ') FILTER (WHERE mode = 'strict'),
		string_agg(DISTINCT o, ', ') FILTER (WHERE mode = 'echo'),
		statement
	FROM kind AS k CROSS JOIN (VALUES ('auto'), ('strict'), ('echo')) AS m (mode),
		LATERAL outcome(k, mode, statement) AS o
	WHERE o IS NOT NULL
$$;

-- the statement does not list the column
SELECT * FROM outcomes('UPDATE {t} SET a = 9 WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = NULL WHERE id = 1 RETURNING version');
-- without any change
SELECT * FROM outcomes('UPDATE {t} SET a = a WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = 1, hits = 1 WHERE id = 1 RETURNING version');
-- of an ignored column
SELECT * FROM outcomes('UPDATE {t} SET hits = 9 WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET hits = 9, a = 9 WHERE id = 1 RETURNING version');
-- it lists the next version
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = {next} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET version = {next} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET hits = 9, version = {next} WHERE id = 1 RETURNING version');
-- the stored one
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = {stored} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = version WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET (version, a) = (version, 9) WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET (a, version) = (SELECT 9, {stored}) WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = 1, version = {stored} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET version = version WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET hits = 9, version = {stored} WHERE id = 1 RETURNING version');
-- another one
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = {older} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET version = {older} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = {newer} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET version = {newer} WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = NULL WHERE id = 1 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET version = NULL WHERE id = 1 RETURNING version');

-- no version is stored: any is good
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = {next} WHERE id = 2 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET version = {older} WHERE id = 2 RETURNING version');
SELECT * FROM outcomes('UPDATE {t} SET a = 9, version = NULL WHERE id = 2 RETURNING version');
SELECT auto, strict FROM outcomes('UPDATE {t} SET a = 9 WHERE id = 2 RETURNING version');

-- rows of one statement are told apart
SELECT compare.changes('UPDATE "int4 auto" SET a = 1');
SELECT compare.changes('UPDATE "int4 auto" SET id = id + 10');

-- INSERT
SELECT * FROM outcomes('INSERT INTO {t} (id, a) SELECT 3, 3 WHERE ''id = 3'' <> '''' RETURNING version');
SELECT * FROM outcomes('INSERT INTO {t} SELECT 3, 3, 3, NULL WHERE ''id = 3'' <> '''' RETURNING version');
SELECT * FROM outcomes('INSERT INTO {t} SELECT 3, 3, 3, {newer} WHERE ''id = 3'' <> '''' RETURNING version');
SELECT * FROM outcomes('INSERT INTO {t} SELECT 3, 3, 3, {next} WHERE ''id = 3'' <> '''' RETURNING version');
-- a first version of 0, as some ORMs have it, and a default
SELECT compare.changes('INSERT INTO "int4 auto" VALUES (3, 3, 3, 0), (4, 4, 4, -7) RETURNING version');
SELECT compare.changes('INSERT INTO "int4 auto" VALUES (3, 3, 3, DEFAULT) RETURNING version');
BEGIN;
DELETE FROM "int4 auto" WHERE version IS NULL;
ALTER TABLE "int4 auto" ALTER COLUMN version SET DEFAULT 0, ALTER COLUMN version SET NOT NULL;
SELECT compare.changes('INSERT INTO "int4 auto" (id, a) VALUES (3, 3)');
SELECT compare.changes('INSERT INTO "int4 auto" (id, version) VALUES (3, NULL)');
SELECT left(compare.changes('UPDATE "int4 auto" SET a = 2, version = DEFAULT'), 5);
SELECT left(compare.changes('UPDATE "int4 auto" SET a = 2, version = NULL'), 5);
ROLLBACK;
-- every row has a uuid of its own
BEGIN;
INSERT INTO "uuid auto" (id) SELECT generate_series(11, 30);
SELECT count(DISTINCT version), bool_and(version::text ~ '^.{8}-.{4}-4.{3}-[89ab].{3}-.{12}$') AS v4 FROM "uuid auto" WHERE id > 10;
UPDATE "uuid auto" SET a = 1 WHERE id > 10;
SELECT count(DISTINCT version), bool_and(version::text ~ '^.{8}-.{4}-4.{3}-[89ab].{3}-.{12}$') AS v4 FROM "uuid auto" WHERE id > 10;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
RESET client_min_messages;
CREATE SCHEMA soft;

--
-- What ORMs send: the statement finds its row or not, as in plain PostgreSQL
--
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, title text, version int NOT NULL DEFAULT 1);
	INSERT INTO post VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3);
$$);
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
\pset tuples_only on
-- with a literal: the version is the client's, whoever counts
SELECT compare.effect('UPDATE post SET title = ''x'', version = 3 WHERE id = 2 AND version = 2');
SELECT compare.effect('UPDATE post SET title = ''x'', version = 2 WHERE id = 2 AND version = 1');
SELECT compare.effect('UPDATE post SET title = ''x'', version = 3 WHERE id = 2 AND version = 2 RETURNING *');
SELECT compare.effect('UPDATE post SET version = 3 WHERE id = 2 AND version = 2');
-- with an expression
SELECT compare.effect('UPDATE post SET title = ''x'', version = version + 1 WHERE id = 2 AND version = 2 RETURNING version');
SELECT compare.effect('UPDATE post SET title = ''x'', version = coalesce(version, 0) + 1 WHERE id IN (1, 2)');
SELECT compare.effect('UPDATE post SET title = CASE id WHEN 1 THEN ''x'' ELSE ''y'' END, version = version + 1 WHERE id IN (1, 2) RETURNING id, version');
-- nothing but the version that was read
SELECT compare.effect('UPDATE post SET version = 2 WHERE id = 2 AND version = 2');
-- DELETE
SELECT compare.effect('DELETE FROM post WHERE id = 2 AND version = 2');
SELECT compare.effect('DELETE FROM post WHERE id = 2 AND version = 1');
-- the server counts
SET compare.left_out = 'version';
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 2 AND version = 2');
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 2 AND version = 1');
SELECT compare.effect('UPDATE post SET title = title || ''x''');
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id < 3 RETURNING id, title');
SELECT compare.effect('INSERT INTO post VALUES (4, ''four'') ON CONFLICT DO NOTHING');
SELECT compare.effect('DELETE FROM post RETURNING *');
RESET compare.left_out;
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 2 AND version = 2 RETURNING version');
SELECT compare.changes('UPDATE post SET title = title || ''x'' RETURNING id, version');
-- the same row twice in a transaction, and twice in a statement
BEGIN;
UPDATE soft.post SET title = 'x' WHERE id = 1 RETURNING version;
UPDATE soft.post SET title = 'y' WHERE id = 1 RETURNING version;
UPDATE soft.post SET title = 'y' WHERE id = 1 RETURNING version;
WITH a AS (UPDATE post SET title = 'z' WHERE id = 1 RETURNING version) SELECT * FROM a;
SAVEPOINT s;
UPDATE soft.post SET title = 'a' WHERE id = 1 RETURNING version;
ROLLBACK TO s;
UPDATE soft.post SET title = 'b' WHERE id = 1 RETURNING version;
ROLLBACK;

--
-- Overflow
--
CREATE TABLE full2 (id int PRIMARY KEY, a int, version int2);
CREATE TABLE full4 (id int PRIMARY KEY, a int, version int4);
CREATE TABLE full8 (id int PRIMARY KEY, a int, version int8);
CREATE TABLE wrap2 (LIKE full2 INCLUDING ALL);
CREATE TABLE wrap4 (LIKE full4 INCLUDING ALL);
CREATE TABLE wrap8 (LIKE full8 INCLUDING ALL);
INSERT INTO full2 VALUES (1, 1, 32767);
INSERT INTO full4 VALUES (1, 1, 2147483647);
INSERT INTO full8 VALUES (1, 1, 9223372036854775807);
INSERT INTO wrap2 TABLE full2;
INSERT INTO wrap4 TABLE full4;
INSERT INTO wrap8 TABLE full8;
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON full2 FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON full4 FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'overflow=error');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON full8 FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'overflow=error', 'mode=echo');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON wrap2 FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'overflow=wrap');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON wrap4 FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=strict', 'overflow=wrap');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON wrap8 FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo', 'overflow=wrap');
SELECT compare.refusal('UPDATE full2 SET a = 2');
SELECT compare.refusal('UPDATE full4 SET a = 2');
SELECT compare.refusal('UPDATE full8 SET a = 2, version = version');
-- the last version does not keep a row from being looked at, or a client from trying
SELECT compare.changes('UPDATE full4 SET a = 1');
SELECT compare.changes('UPDATE full4 SET version = version');
SELECT left(compare.changes('UPDATE full4 SET a = 2, version = 1'), 5);
SELECT left(compare.changes('UPDATE full4 SET a = 2, version = -2147483648'), 5);
SELECT left(compare.changes('UPDATE full4 SET a = 2, version = version + 1'), 5);
-- wrap: the server starts at 1; a client where its language does
SELECT compare.changes('UPDATE wrap2 SET a = 2');
SELECT compare.changes('UPDATE wrap4 SET a = 2');
SELECT compare.changes('UPDATE wrap8 SET a = 2, version = version');
SELECT compare.changes('UPDATE wrap2 SET a = 2, version = 1');
SELECT compare.changes('UPDATE wrap2 SET a = 2, version = 0');
SELECT compare.changes('UPDATE wrap2 SET a = 2, version = -32768');
SELECT left(compare.changes('UPDATE wrap2 SET a = 2, version = 2'), 5);
SELECT left(compare.changes('UPDATE wrap2 SET a = 2, version = -1'), 5);
SELECT left(compare.changes('UPDATE wrap2 SET a = 2, version = 32766'), 5);
SELECT compare.changes('UPDATE wrap4 SET a = 2, version = -2147483648');
SELECT compare.changes('UPDATE wrap4 SET version = 0');
SELECT left(compare.changes('UPDATE wrap8 SET a = 2, version = 1'), 5);
-- and goes on from there
BEGIN;
UPDATE wrap2 SET version = -32768 RETURNING version;
UPDATE wrap2 SET a = 2 RETURNING version;
UPDATE wrap2 SET a = 3, version = -32766 RETURNING version;
UPDATE wrap2 SET a = 4 RETURNING version;
ROLLBACK;
-- before the maximum nothing is special
BEGIN;
ALTER TABLE wrap2 DISABLE TRIGGER version;
UPDATE wrap2 SET version = 32766;
ALTER TABLE wrap2 ENABLE TRIGGER version;
SELECT left(compare.changes('UPDATE wrap2 SET a = 2, version = 1'), 5);
SELECT compare.changes('UPDATE wrap2 SET a = 2');
ROLLBACK;
-- a domain may be narrower than its type
CREATE DOMAIN digit AS int CHECK (value BETWEEN 0 AND 9);
CREATE TABLE digits (id int PRIMARY KEY, a int, version digit);
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON digits FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO digits VALUES (1, 1, 8) RETURNING version;
UPDATE digits SET a = 2 RETURNING version;
SELECT compare.changes('UPDATE digits SET a = 3');

--
-- timestamptz: later than the stored one, by a unit of the column's precision at least
--
CREATE TABLE moment (id int PRIMARY KEY, a int, version timestamptz, v3 timestamptz(3), v0 timestamptz(0));
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON moment FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
CREATE TRIGGER v3 BEFORE INSERT OR UPDATE ON moment FOR EACH ROW EXECUTE FUNCTION orm_ext.version('v3');
CREATE TRIGGER v0 BEFORE INSERT OR UPDATE ON moment FOR EACH ROW EXECUTE FUNCTION orm_ext.version('v0');
BEGIN;
INSERT INTO moment (id, a) VALUES (1, 1);
SELECT version = now(), v3 = now()::timestamptz(3), v0 = now()::timestamptz(0) FROM moment;
UPDATE moment SET a = 2;
SELECT version - now(), v3 - now()::timestamptz(3), v0 - now()::timestamptz(0) FROM moment;
UPDATE moment SET a = 3;
SELECT version - now(), v3 - now()::timestamptz(3), v0 - now()::timestamptz(0) FROM moment;
-- a client's are rounded by the server before they are compared
UPDATE moment SET a = 4, v0 = v0 + interval '0.4 seconds', v3 = v3 + interval '6 ms';
SELECT version - now(), v3 - now()::timestamptz(3), v0 - now()::timestamptz(0) FROM moment;
ROLLBACK;
-- versions in the future, and at the ends of time
INSERT INTO moment VALUES (1, 1, '2901-02-03 04:05:06.789Z', '2901-02-03 04:05:06.789Z', '2901-02-03 04:05:06.789Z');
SET timezone = 'UTC';
BEGIN;
UPDATE moment SET a = 2;
SELECT version, v3, v0 FROM moment;
ROLLBACK;
DELETE FROM moment;
INSERT INTO moment VALUES (1, 1, '-infinity', '-infinity', '-infinity');
BEGIN;
UPDATE moment SET a = 2;
SELECT version = now(), v3 = now()::timestamptz(3), v0 = now()::timestamptz(0) FROM moment;
ROLLBACK;
DELETE FROM moment;
INSERT INTO moment VALUES (1, 1, 'infinity', '2001-01-01', '2001-01-01');
SELECT compare.refusal('UPDATE moment SET a = 2');
RESET timezone;

--
-- The trigger may fire on UPDATE alone, or on INSERT alone, or be switched off
--
CREATE TABLE half (id int PRIMARY KEY, a int, version int);
CREATE TRIGGER version BEFORE UPDATE ON half FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO half VALUES (1, 1, NULL), (2, 2, 1) RETURNING version;
SELECT compare.changes('UPDATE half SET a = 9');
CREATE OR REPLACE TRIGGER version BEFORE INSERT ON half FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT compare.changes('INSERT INTO half VALUES (3, 3)');
SELECT compare.changes('UPDATE half SET a = 9, version = 7');
CREATE OR REPLACE TRIGGER version BEFORE INSERT OR UPDATE ON half FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
ALTER TABLE half DISABLE TRIGGER version;
SELECT compare.changes('UPDATE half SET a = 9, version = 7 WHERE id = 2');
ALTER TABLE half ENABLE REPLICA TRIGGER version;
SELECT compare.changes('UPDATE half SET a = 9 WHERE id = 2');
ALTER TABLE half ENABLE TRIGGER version;
SET session_replication_role = replica;
SELECT compare.changes('UPDATE half SET a = 9, version = 7 WHERE id = 2');
SELECT compare.changes('INSERT INTO half VALUES (3, 3)');
RESET session_replication_role;
SELECT compare.changes('UPDATE half SET a = 9 WHERE id = 2');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
