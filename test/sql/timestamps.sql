--
-- orm_ext.timestamps(): when a row was created and last updated.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TABLE post (
		id int PRIMARY KEY, title text, hits int DEFAULT 0,
		created_at timestamptz, updated_at timestamptz
	);
	INSERT INTO post VALUES
		(1, 'one', 1, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z'),
		(2, 'two', 2, NULL, NULL);
$$);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('created_at', 'updated_at', 'ignore=hits');

--
-- INSERT: set where nothing is given
--
SELECT compare.changes('INSERT INTO post (id) VALUES (3)');
SELECT compare.changes('INSERT INTO post VALUES (3, ''three'', 0, NULL, NULL)');
SELECT compare.changes('INSERT INTO post VALUES (3, ''three'', 0, ''2003-01-01 00:00:00Z'')');
SELECT compare.changes('INSERT INTO post VALUES (3, ''three'', 0, ''2003-01-01 00:00:00Z'', ''2004-01-01 00:00:00Z'')');
SELECT compare.changes('INSERT INTO post (id) SELECT generate_series(3, 5)');

--
-- UPDATE: moves with a change of another column
--
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = NULL WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''one'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = title, id = id WHERE id = 1');
SELECT compare.changes('UPDATE post SET hits = hits + 1 WHERE id = 1');
SELECT compare.changes('UPDATE post SET hits = hits + 1, title = ''x'' WHERE id = 1');
-- without a stored one
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 2');
SELECT compare.changes('UPDATE post SET title = ''two'' WHERE id = 2');
-- what is given wins, which also tells the server to leave it
SELECT compare.changes('UPDATE post SET title = ''x'', updated_at = ''2005-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', updated_at = ''2000-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET updated_at = ''2000-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', updated_at = updated_at WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', updated_at = ''2002-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET updated_at = now() WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', updated_at = NULL WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', updated_at = CASE WHEN title = ''x'' THEN updated_at ELSE now() END WHERE id = 1');
-- created stays, whoever re-sends it, but may be set once
SELECT compare.changes('UPDATE post SET created_at = ''2005-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE post SET created_at = NULL WHERE id = 1');
SELECT compare.changes('UPDATE post SET title = ''x'', created_at = now() WHERE id = 1 RETURNING created_at = ''2001-01-01 00:00:00Z''');
SELECT compare.changes('UPDATE post SET title = ''x'', created_at = created_at WHERE id = 1');
SELECT compare.changes('UPDATE post SET created_at = ''2005-01-01 00:00:00Z'' WHERE id = 2');
SELECT compare.changes('UPDATE post SET title = ''x'', created_at = ''2005-01-01 00:00:00Z'' WHERE id = 2');

-- statements answer what they answer without
SET compare.left_out = 'created_at updated_at';
SELECT compare.effect('INSERT INTO post VALUES (3, ''three'') RETURNING id, title, hits');
SELECT compare.effect('UPDATE post SET title = ''x''');
SELECT compare.effect('UPDATE post SET title = title RETURNING id');
SELECT compare.effect('UPDATE post SET created_at = now() WHERE created_at < now() RETURNING id');
SELECT compare.effect('UPDATE post SET title = ''x'' WHERE id = 9');
SELECT compare.effect('DELETE FROM post WHERE updated_at IS NULL');
RESET compare.left_out;

--
-- Either may be left out; columns may have any name
--
CREATE TABLE log (id int PRIMARY KEY, a int, "Created, at" timestamptz, "Updated ""at""" timestamptz);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON log
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('Created, at', '');
INSERT INTO log VALUES (1, 1, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z');
SELECT compare.changes('INSERT INTO log VALUES (2)');
SELECT compare.changes('UPDATE log SET a = 2, "Created, at" = now()');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON log
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'Updated "at"', 'ignore="Created, at"');
SELECT compare.changes('INSERT INTO log VALUES (2)');
SELECT compare.changes('UPDATE log SET a = 2');
SELECT compare.changes('UPDATE log SET "Created, at" = now()');
-- two columns declared apart do not count as changes for each other
CREATE TRIGGER more_stamps BEFORE INSERT OR UPDATE ON log
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('Created, at', '');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON log
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'Updated "at"', 'ignore= "a" , id ');
SELECT compare.changes('UPDATE log SET a = 2, "Created, at" = now()');
DROP TABLE log;

--
-- immutable
--
CREATE TABLE fixed (id int PRIMARY KEY, a int, created_at timestamptz);
INSERT INTO fixed VALUES (1, 1, '2001-01-01 00:00:00Z'), (2, 2, NULL);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON fixed
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('created_at', '', 'immutable=error');
SELECT compare.refusal('UPDATE fixed SET created_at = now() WHERE id = 1');
SELECT left(compare.changes('UPDATE fixed SET created_at = NULL WHERE id = 1'), 5);
-- a full row that re-sends it is fine
SELECT compare.changes('UPDATE fixed SET a = 9, created_at = ''2001-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE fixed SET a = 9, created_at = ''2001-01-01 09:00:00+09'' WHERE id = 1');
SELECT compare.changes('UPDATE fixed SET created_at = ''2003-01-01 00:00:00Z'' WHERE id = 2');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON fixed
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('created_at', '', 'immutable=keep');
SELECT compare.changes('UPDATE fixed SET a = 9, created_at = now() WHERE id = 1');

--
-- resent: is the stored value, sent once more, a wish or a full row's habit
--
CREATE TABLE sent (id int PRIMARY KEY, a int, updated_at timestamptz);
INSERT INTO sent VALUES (1, 1, '2001-01-01 00:00:00Z'), (2, 2, NULL);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON sent
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'updated_at', 'resent=move');
SELECT compare.changes('UPDATE sent SET a = 9, updated_at = ''2001-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE sent SET a = 1, updated_at = ''2001-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE sent SET a = 9, updated_at = ''2003-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE sent SET updated_at = ''2000-01-01 00:00:00Z'' WHERE id = 1');
SELECT compare.changes('UPDATE sent SET a = 9, updated_at = NULL WHERE id = 2');
CREATE OR REPLACE TRIGGER stamps BEFORE INSERT OR UPDATE ON sent
	FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'updated_at', 'resent=keep');
SELECT compare.changes('UPDATE sent SET a = 9, updated_at = ''2001-01-01 00:00:00Z'' WHERE id = 1');

--
-- Types and their precision.  In one transaction all have the same clock.
--
CREATE DOMAIN stamp AS timestamptz(0) CHECK (value > '2000-01-01');
CREATE DOMAIN millis AS bigint;
CREATE TABLE kinds (
	id int PRIMARY KEY, a int,
	tz timestamptz, tz6 timestamptz(6), tz3 timestamptz(3), tz0 timestamptz(0),
	ts timestamp, ts3 timestamp(3), ts0 timestamp(0), ts_utc timestamp, ts0_utc timestamp(0),
	d date, d_utc date, us bigint, ms bigint, s bigint, dom stamp, dom_ms millis
);
DO $$
DECLARE
	c text;
BEGIN
	FOREACH c IN ARRAY ARRAY['tz', 'tz6', 'tz3', 'tz0', 'ts', 'ts3', 'ts0', 'd', 'us', 'dom'] LOOP
		EXECUTE format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('''', %L)', c, c);
	END LOOP;
END
$$;
CREATE TRIGGER ts_utc BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'ts_utc', 'zone=utc');
CREATE TRIGGER ts0_utc BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'ts0_utc', 'zone=utc');
CREATE TRIGGER d_utc BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'd_utc', 'zone=utc');
CREATE TRIGGER ms BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'ms', 'unit=milliseconds');
CREATE TRIGGER s BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 's', 'unit=seconds');
CREATE TRIGGER dom_ms BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'dom_ms', 'unit=milliseconds');
-- what the server itself makes of now() in such a column, and how far from it the stamps are
CREATE VIEW drift AS
	SELECT tz - now() AS tz, tz6 - now() AS tz6, tz3 - now()::timestamptz(3) AS tz3, tz0 - now()::timestamptz(0) AS tz0,
		ts - localtimestamp AS ts, ts3 - localtimestamp::timestamp(3) AS ts3, ts0 - localtimestamp::timestamp(0) AS ts0,
		ts_utc - now() AT TIME ZONE 'UTC' AS ts_utc, ts0_utc - (now() AT TIME ZONE 'UTC')::timestamp(0) AS ts0_utc,
		d - current_date AS d, d_utc - (now() AT TIME ZONE 'UTC')::date AS d_utc,
		us - (extract(epoch FROM now()) * 1000000)::bigint AS us,
		ms BETWEEN floor(extract(epoch FROM now()) * 1000) AND ceil(extract(epoch FROM now()) * 1000) AS ms,
		s BETWEEN floor(extract(epoch FROM now())) AND ceil(extract(epoch FROM now())) AS s,
		dom - now()::timestamptz(0) AS dom, dom_ms = ms AS dom_ms
	FROM kinds;
\pset format aligned
\x on
SET timezone = 'Pacific/Kiritimati';
SET intervalstyle = 'postgres';
BEGIN;
INSERT INTO kinds (id) VALUES (1);
TABLE drift;
CREATE TEMP TABLE before ON COMMIT DROP AS TABLE kinds;
-- never backwards, and never still where the row changes
UPDATE kinds SET a = 1;
UPDATE kinds SET a = 2;
SELECT k.tz - b.tz AS tz, k.tz6 - b.tz6 AS tz6, k.tz3 - b.tz3 AS tz3, k.tz0 - b.tz0 AS tz0, k.ts - b.ts AS ts, k.ts3 - b.ts3 AS ts3,
	k.ts0 - b.ts0 AS ts0, k.ts_utc - b.ts_utc AS ts_utc, k.ts0_utc - b.ts0_utc AS ts0_utc, k.d - b.d AS d, k.d_utc - b.d_utc AS d_utc,
	k.us - b.us AS us, k.ms - b.ms AS ms, k.s - b.s AS s, k.dom - b.dom AS dom, k.dom_ms - b.dom_ms AS dom_ms
FROM kinds AS k, before AS b;
ROLLBACK;
-- from stamps that lie in the future
BEGIN;
INSERT INTO kinds VALUES (1, 1, '2901-01-01', '2901-01-01', '2901-01-01', '2901-01-01',
	'2901-01-01', '2901-01-01', '2901-01-01', '2901-01-01', '2901-01-01', '2901-01-01', '2901-01-01',
	30000000000000000, 30000000000000, 30000000000, '2901-01-01', 30000000000000);
UPDATE kinds SET a = 2;
SET LOCAL datestyle = 'ISO';
TABLE kinds;
ROLLBACK;
-- and from those of long ago
BEGIN;
INSERT INTO kinds VALUES (1, 1, '2001-01-01', '2001-01-01', '2001-01-01', '2001-01-01',
	'2001-01-01', '2001-01-01', '2001-01-01', '2001-01-01', '2001-01-01', '2001-01-01', '2001-01-01',
	1, 1, 1, '2001-01-01', 1);
UPDATE kinds SET a = 2;
TABLE drift;
ROLLBACK;
RESET timezone;
\x off
\pset format unaligned
-- the zone is that of the statement
CREATE TABLE zoned (id int PRIMARY KEY, a int, ts timestamp);
CREATE TRIGGER ts BEFORE INSERT OR UPDATE ON zoned FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'ts');
BEGIN;
SET LOCAL timezone = 'UTC';
INSERT INTO zoned VALUES (1);
SET LOCAL timezone = 'Asia/Tokyo';
INSERT INTO zoned VALUES (2);
SELECT b.ts - a.ts FROM zoned AS a, zoned AS b WHERE a.id = 1 AND b.id = 2;
-- going west does not turn time back
SET LOCAL timezone = 'America/New_York';
UPDATE zoned SET a = 1;
SELECT a.ts - now() AT TIME ZONE 'UTC', b.ts - now() AT TIME ZONE 'Asia/Tokyo' FROM zoned AS a, zoned AS b WHERE a.id = 1 AND b.id = 2;
ROLLBACK;
-- infinity stays, as there is nothing later
CREATE TABLE ends (id int PRIMARY KEY, a int, tz timestamptz, ts timestamp, d date, us bigint);
CREATE TRIGGER tz BEFORE INSERT OR UPDATE ON ends FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'tz');
CREATE TRIGGER ts BEFORE INSERT OR UPDATE ON ends FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'ts');
CREATE TRIGGER d BEFORE INSERT OR UPDATE ON ends FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'd');
CREATE TRIGGER us BEFORE INSERT OR UPDATE ON ends FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'us');
INSERT INTO ends VALUES (1, 1, 'infinity', 'infinity', 'infinity', 9223372036854775807),
	(2, 2, '-infinity', '-infinity', '-infinity', -9223372036854775808);
BEGIN;
UPDATE ends SET a = 9 WHERE id = 1 RETURNING tz, ts, d, us;
UPDATE ends SET a = 9 WHERE id = 2 RETURNING tz - now(), ts - localtimestamp, d - current_date, us - (extract(epoch FROM now()) * 1000000)::bigint;
ROLLBACK;

--
-- Clocks
--
CREATE TABLE clocks (id int PRIMARY KEY, a int, t timestamptz, s timestamptz, w timestamptz);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON clocks FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 't', 'clock=transaction');
CREATE TRIGGER s BEFORE INSERT OR UPDATE ON clocks FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 's', 'clock=statement');
CREATE TRIGGER w BEFORE INSERT OR UPDATE ON clocks FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'w', 'clock=wall');
BEGIN;
SELECT pg_sleep(0.002);
INSERT INTO clocks SELECT i FROM generate_series(1, 3) AS i, pg_sleep(0.002)
	RETURNING t = now(), s = statement_timestamp(), s > t, w > s;
SELECT count(DISTINCT t), count(DISTINCT s) FROM clocks;
SELECT pg_sleep(0.002);
UPDATE clocks SET a = 1 RETURNING t - now(), s = statement_timestamp(), w > s;
SELECT count(DISTINCT t), count(DISTINCT s) FROM clocks;
-- within a function: the statement is the client's
DO $$
DECLARE
	r record;
BEGIN
	PERFORM pg_sleep(0.002);
	INSERT INTO clocks VALUES (9) RETURNING t = now() AS t, s = statement_timestamp() AS s, w > s AS w INTO r;
	RAISE NOTICE '%', r;
	PERFORM pg_sleep(0.002);
	UPDATE clocks SET a = 1 WHERE id = 9 RETURNING t - now() AS t, s - statement_timestamp() AS s, w - s > interval '2 ms' AS w INTO r;
	RAISE NOTICE '%', r;
END
$$;
ROLLBACK;

--
-- The same through orm_ext.stamp()
--
CREATE TABLE whole (id int PRIMARY KEY, a int, hits int, version int, created timestamptz, updated timestamptz);
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON whole
	FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated=updated', 'created=created', 'version=version', 'ignore=hits');
INSERT INTO whole VALUES (1, 1, 1, 5, '2001-01-01 00:00:00Z', '2002-01-01 00:00:00Z');
SELECT compare.changes('INSERT INTO whole VALUES (2)');
SELECT compare.changes('UPDATE whole SET a = 9');
SELECT compare.changes('UPDATE whole SET a = 1');
SELECT compare.changes('UPDATE whole SET hits = 9');
SELECT compare.changes('UPDATE whole SET version = 6');
SELECT compare.changes('UPDATE whole SET a = 9, version = 6');
SELECT compare.changes('UPDATE whole SET updated = now()');
SELECT compare.changes('UPDATE whole SET a = 9, updated = ''2003-01-01 00:00:00Z'', version = 6, created = now()');
SELECT left(compare.changes('UPDATE whole SET a = 9, version = 7'), 5);
-- which is the same as two triggers, whichever is first
DROP TRIGGER stamps ON whole;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON whole FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'ignore=hits');
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON whole FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('created', 'updated', 'ignore=hits');
SELECT compare.changes('INSERT INTO whole VALUES (2)');
SELECT compare.changes('UPDATE whole SET a = 9');
SELECT compare.changes('UPDATE whole SET hits = 9');
SELECT compare.changes('UPDATE whole SET version = 6');
SELECT compare.changes('UPDATE whole SET updated = now()');
ALTER TRIGGER b ON whole RENAME TO "0";
SELECT compare.changes('UPDATE whole SET a = 9');
SELECT compare.changes('UPDATE whole SET hits = 9');
SELECT compare.changes('UPDATE whole SET version = 6');
SELECT compare.changes('UPDATE whole SET updated = now()');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
