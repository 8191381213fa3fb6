--
-- INSERT ... ON CONFLICT: keys among live rows are found as though they were
-- full ones, and a deleted row is neither updated nor brought back by an upsert
-- that did not ask for it.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE account (
		id int PRIMARY KEY, email text, tenant int, name text, n int DEFAULT 0, deleted_at timestamptz,
		UNIQUE (email), UNIQUE (tenant, name)
	);
	CREATE UNIQUE INDEX account_lower ON account (lower(email), tenant);
	CREATE UNIQUE INDEX account_small ON account (name) WHERE n < 10;
	INSERT INTO account SELECT i, 'mail' || i, i / 3, 'name ' || i FROM generate_series(1, 8) AS i;
	CREATE TABLE flagged (id int, email text UNIQUE, n int DEFAULT 0, gone boolean NOT NULL DEFAULT false);
	INSERT INTO flagged SELECT i, 'mail' || i FROM generate_series(1, 8) AS i;
	CREATE TABLE counted (id int, email text UNIQUE, n int DEFAULT 0, gone bigint NOT NULL DEFAULT 0);
	INSERT INTO counted SELECT i, 'mail' || i FROM generate_series(1, 8) AS i;
$$);
\pset format unaligned
\pset tuples_only on
SELECT count(*) FROM orm_ext.enable_soft_delete('soft.account');
SELECT count(*) FROM orm_ext.enable_soft_delete('soft.flagged', 'gone');
SELECT count(*) FROM orm_ext.enable_soft_delete('soft.counted', 'gone');
CALL compare.in_both('DELETE FROM account WHERE id IN (2, 5)');
CALL compare.in_both('DELETE FROM flagged WHERE id IN (2, 5)');
CALL compare.in_both('DELETE FROM counted WHERE id IN (2, 5)');

-- a key among live rows, without its predicate
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail1'') ON CONFLICT (email) DO NOTHING');
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail1'') ON CONFLICT (email) DO UPDATE SET n = 9 RETURNING *');
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail2'') ON CONFLICT (email) DO NOTHING');
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail2'') ON CONFLICT (email) DO UPDATE SET n = 9 RETURNING *');
SELECT compare.effect('INSERT INTO account (id, email, name) SELECT i + 10, ''mail'' || i, ''new '' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) DO UPDATE SET name = excluded.name, n = account.n + 1 RETURNING *');
SELECT compare.effect('INSERT INTO account AS a (id, email, name) SELECT i + 10, ''mail'' || i, ''new '' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) DO UPDATE SET n = 7 WHERE a.id > 3 RETURNING a');
SELECT compare.effect('INSERT INTO account (id, email, tenant) VALUES (11, ''mail1'', 0), (12, ''mail2'', 0) ON CONFLICT DO NOTHING RETURNING *');
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail9''), (12, ''mail9'') ON CONFLICT (email) DO NOTHING');
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail9''), (12, ''mail9'') ON CONFLICT (email) DO UPDATE SET n = 1');
-- keys of several columns, expressions, with a predicate of their own
SELECT compare.effect('INSERT INTO account (id, name, tenant) VALUES (11, ''name 4'', 1), (12, ''name 5'', 1) ON CONFLICT (name, tenant) DO UPDATE SET n = 3 RETURNING *');
SELECT compare.effect('INSERT INTO account (id, email, tenant) VALUES (11, ''MAIL4'', 1), (12, ''MAIL5'', 1) ON CONFLICT (lower(email), tenant) DO UPDATE SET n = 3 RETURNING *');
SELECT compare.effect('INSERT INTO account (id, name) VALUES (11, ''name 4''), (12, ''name 5'') ON CONFLICT (name) WHERE n < 10 DO UPDATE SET n = 3 RETURNING *');
SELECT compare.effect('INSERT INTO account (id, name) VALUES (11, ''name 4'') ON CONFLICT (name) DO NOTHING');
SELECT compare.effect('INSERT INTO account (id, name) VALUES (11, ''name 4'') ON CONFLICT (n) DO NOTHING');
-- and with the predicate spelt, as some do by hand
CREATE UNIQUE INDEX ON twin.account (email) WHERE deleted_at IS NULL;
SELECT compare.effect('INSERT INTO account (id, email) VALUES (11, ''mail1''), (12, ''mail2'') ON CONFLICT (email) WHERE deleted_at IS NULL DO UPDATE SET n = 5 RETURNING *');
-- other markers
SELECT compare.effect('INSERT INTO flagged SELECT i, ''mail'' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) DO UPDATE SET n = flagged.n + 1 RETURNING *');
SELECT compare.effect('INSERT INTO counted SELECT i, ''mail'' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) DO UPDATE SET n = counted.n + 1 RETURNING *');
SELECT compare.effect('INSERT INTO counted SELECT i, ''mail'' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) DO NOTHING RETURNING *');

CREATE UNIQUE INDEX ON twin.flagged (email) WHERE NOT gone;
CREATE UNIQUE INDEX ON twin.counted (email) WHERE gone = 0;
SELECT compare.effect('INSERT INTO flagged SELECT i, ''mail'' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) WHERE NOT gone DO UPDATE SET n = flagged.n + 1 RETURNING *');
SELECT compare.effect('INSERT INTO counted SELECT i, ''mail'' || i FROM generate_series(1, 9) AS i ON CONFLICT (email) WHERE gone = 0 DO UPDATE SET n = counted.n + 1 RETURNING *');

-- sub-selects, CTEs, functions, prepared: live rows as everywhere
SELECT compare.effect('WITH d AS (DELETE FROM account WHERE id = 1 RETURNING *) INSERT INTO account (id, email) SELECT 21, email || ''x'' FROM d ON CONFLICT (email) DO UPDATE SET n = 1');
SELECT compare.effect('INSERT INTO account (id, email) SELECT id + 20, email FROM account ON CONFLICT (email) DO UPDATE SET n = (SELECT count(*) FROM account)');
CALL compare.in_both($$
	CREATE FUNCTION put(key int, address text) RETURNS SETOF account LANGUAGE sql AS
		'INSERT INTO account (id, email) VALUES (key, address) ON CONFLICT (email) DO UPDATE SET n = account.n + 1 RETURNING *';
	CREATE FUNCTION put_body(key int, address text) RETURNS SETOF account LANGUAGE sql
		BEGIN ATOMIC INSERT INTO account (id, email) VALUES (key, address) ON CONFLICT (email) DO UPDATE SET n = account.n + 1 RETURNING *; END;
$$);
SELECT compare.effect('SELECT put(i + 10, ''mail'' || i) FROM generate_series(1, 3) AS i');
SELECT compare.effect('SELECT * FROM put(12, ''mail2'')');
-- through a view
CALL compare.in_both('CREATE VIEW accounts AS SELECT id AS key, email AS address, n FROM account');
SELECT compare.effect('INSERT INTO accounts VALUES (11, ''mail1''), (12, ''mail2'') ON CONFLICT (address) DO UPDATE SET n = accounts.n + 5 RETURNING *');
SELECT compare.effect('INSERT INTO accounts VALUES (11, ''mail1''), (12, ''mail2'') ON CONFLICT (address) DO NOTHING RETURNING *');

--
-- A key over all rows: the deleted row is in the way
--
SET search_path = soft;
\set QUIET off
INSERT INTO account (id, email) VALUES (2, 'new');
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT (id) DO UPDATE SET email = excluded.email;
\echo SQLSTATE :SQLSTATE
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT ON CONSTRAINT account_pkey DO UPDATE SET n = 1;
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT (id) DO UPDATE SET n = 1 WHERE account.n > 100;
-- DO NOTHING does nothing, as it says
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT (id) DO NOTHING;
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT DO NOTHING;
-- live rows are updated as ever
BEGIN;
INSERT INTO account (id, email) VALUES (3, 'new') ON CONFLICT (id) DO UPDATE SET n = account.n + 1 RETURNING id, email, n;
ROLLBACK;
INSERT INTO account (id, email) VALUES (3, 'new'), (2, 'new') ON CONFLICT (id) DO UPDATE SET n = account.n + 1;
SELECT id, email, n FROM account WHERE id IN (2, 3) AND orm_ext.with_deleted(deleted_at) ORDER BY id;
-- who assigns the marker asks for it
BEGIN;
INSERT INTO account (id, email) VALUES (2, 'back') ON CONFLICT (id) DO UPDATE SET email = excluded.email, deleted_at = NULL RETURNING id, email, deleted_at;
SELECT id, email FROM account ORDER BY id;
ROLLBACK;
BEGIN;
INSERT INTO account (id, email) VALUES (2, 'back') ON CONFLICT (id) DO UPDATE SET email = excluded.email, deleted_at = excluded.deleted_at;
SELECT id, email FROM account WHERE id = 2;
ROLLBACK;
-- so does who mentions it in the action's WHERE
BEGIN;
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT (id) DO UPDATE SET n = 1 WHERE account.deleted_at IS NULL;
INSERT INTO account (id, email) VALUES (2, 'new') ON CONFLICT (id) DO UPDATE SET n = 1 WHERE account.deleted_at IS NOT NULL;
SELECT id, n FROM account WHERE id = 2 AND deleted_at IS NOT NULL;
ROLLBACK;
-- coming back collides with a live row that took the key since
BEGIN;
INSERT INTO account (id, email) VALUES (22, 'mail2');
INSERT INTO account (id) VALUES (2) ON CONFLICT (id) DO UPDATE SET deleted_at = NULL;
ROLLBACK;
-- an upsert that deletes
BEGIN;
INSERT INTO account (id) VALUES (3) ON CONFLICT (id) DO UPDATE SET deleted_at = now();
SELECT count(*) FROM account WHERE id = 3;
ROLLBACK;
-- prepared, and under the settings
PREPARE put (int) AS INSERT INTO account (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = account.n + 1 RETURNING id, n;
SET plan_cache_mode = force_generic_plan;
BEGIN;
EXECUTE put (3);
EXECUTE put (5);
ROLLBACK;
RESET plan_cache_mode;
SET orm_ext.deleted_rows = 'show';
EXECUTE put (5);
RESET orm_ext.deleted_rows;
-- where the trigger is off, so is all of this
BEGIN;
ALTER TABLE account DISABLE TRIGGER orm_soft_delete;
EXECUTE put (5);
ROLLBACK;
-- a key that became a key among live rows is no constraint any more
INSERT INTO account (id, email) VALUES (11, 'mail1') ON CONFLICT ON CONSTRAINT account_email_key DO NOTHING;
\echo SQLSTATE :SQLSTATE
\set QUIET on
RESET search_path;

--
-- Partitioned tables
--
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, word text, n int DEFAULT 0, deleted_at timestamptz, UNIQUE (kind, word)) PARTITION BY LIST (kind);
	CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
	CREATE TABLE event_b (deleted_at timestamptz, word text, kind text, n int DEFAULT 0, id int);
	ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
	INSERT INTO event SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'word ' || i FROM generate_series(1, 8) AS i;
$$);
SELECT count(*) FROM orm_ext.enable_soft_delete('soft.event');
CALL compare.in_both('DELETE FROM event WHERE id < 4');
SELECT compare.effect('INSERT INTO event SELECT i + 10, CASE WHEN i % 2 = 0 THEN ''a'' ELSE ''b'' END, ''word '' || i FROM generate_series(1, 9) AS i ON CONFLICT (kind, word) DO UPDATE SET n = event.n + 1 RETURNING *');
SELECT compare.effect('INSERT INTO event_b (id, kind, word) SELECT i + 10, ''b'', ''word '' || i FROM generate_series(1, 9) AS i ON CONFLICT (kind, word) DO UPDATE SET n = event_b.n + 1 RETURNING *');
CREATE TABLE soft.whole (kind text, id int, n int DEFAULT 0, deleted_at timestamptz, PRIMARY KEY (kind, id)) PARTITION BY LIST (kind);
CREATE TABLE soft.whole_b (deleted_at timestamptz, n int DEFAULT 0, id int NOT NULL, kind text NOT NULL);
ALTER TABLE soft.whole ATTACH PARTITION soft.whole_b FOR VALUES IN ('b');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.whole FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO soft.whole VALUES ('b', 1), ('b', 2);
DELETE FROM soft.whole WHERE id = 1;
INSERT INTO soft.whole VALUES ('b', 1), ('b', 2) ON CONFLICT (kind, id) DO UPDATE SET n = 1;
INSERT INTO soft.whole VALUES ('b', 2) ON CONFLICT (kind, id) DO UPDATE SET n = 1 RETURNING *;
INSERT INTO soft.whole VALUES ('b', 1) ON CONFLICT (kind, id) DO UPDATE SET n = 1, deleted_at = NULL RETURNING *;

-- the function that stands in the condition, by hand
SELECT orm_ext.conflicting_row_is_live(false, 'soft.whole_pkey');
SELECT orm_ext.conflicting_row_is_live(false, 'pg_class_oid_index');
SELECT orm_ext.conflicting_row_is_live(false, 'soft.whole');
SELECT orm_ext.conflicting_row_is_live(false, 0);
SELECT orm_ext.conflicting_row_is_live(true, 0);

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
