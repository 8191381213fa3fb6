--
-- What migrations say of unique constraints, where soft delete has made them
-- indexes: each command is run in a schema of plain tables and in one of
-- tables under soft delete, and has to end alike.
--
CREATE SCHEMA plain;
CREATE SCHEMA soft;
CREATE SCHEMA migration;
SET search_path = migration;
SET orm_ext.auto_manage = 'soft';
SET orm_ext.naming_check = off;
SET orm_ext.naming_fill = off;
\pset format unaligned
\pset tuples_only on

-- How a command ends in a schema: its tag, or the SQLSTATE of its error.
CREATE FUNCTION ends(schema_name text, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', schema_name, true);
	EXECUTE command;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

-- ... in both.
CREATE FUNCTION in_both(command text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN a = b THEN a ELSE format('plain: %s, soft: %s', a, b) END || ' | ' || command
	FROM migration.ends('plain', command) AS a, migration.ends('soft', command) AS b
$$;

-- Unique indexes of the managed tables, which have no constraints but primary keys.
CREATE FUNCTION soft_keys() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_get_indexdef(indexrelid) || coalesce(' -- ' || obj_description(indexrelid, 'pg_class'), '')
	FROM pg_index JOIN pg_class AS t ON t.oid = indrelid
	WHERE indisunique AND NOT indisprimary AND t.relnamespace = 'soft'::regnamespace ORDER BY 1
$$;

SELECT in_both('CREATE TABLE person (
	id int PRIMARY KEY, email text UNIQUE, code text UNIQUE, a int, b int, deleted_at timestamptz, UNIQUE (a, b))');
SELECT in_both('INSERT INTO person VALUES (1, ''x'', ''x'', 1, 1)');
SELECT soft_keys();

--
-- RENAME, COMMENT, DROP
--
SELECT in_both('ALTER TABLE person RENAME CONSTRAINT person_email_key TO person_mail_key');
SELECT in_both('ALTER TABLE person RENAME CONSTRAINT person_email_key TO x');
SELECT in_both('ALTER TABLE person RENAME CONSTRAINT person_mail_key TO person_pkey');
SELECT in_both('ALTER TABLE IF EXISTS person RENAME CONSTRAINT person_mail_key TO person_email_key');
SELECT in_both('COMMENT ON CONSTRAINT person_email_key ON person IS ''one account for an address''');
SELECT in_both('COMMENT ON CONSTRAINT x ON person IS ''...''');
SELECT soft_keys();
SELECT in_both('INSERT INTO person VALUES (2, ''x'')');
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_email_key');
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_email_key');
SELECT in_both('ALTER TABLE person DROP CONSTRAINT IF EXISTS person_email_key');
SELECT in_both('INSERT INTO person VALUES (2, ''x'')');
SELECT in_both('ALTER TABLE person ADD CONSTRAINT person_email_key UNIQUE (email)');
SELECT in_both('UPDATE person SET email = ''y'' WHERE id = 2');
SELECT in_both('ALTER TABLE person ADD CONSTRAINT person_email_key UNIQUE (email)');
-- of several commands, what is dropped makes room for what is added
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_a_b_key, ADD COLUMN c int, ADD CONSTRAINT person_a_b_key UNIQUE (a, b, c)');
SELECT in_both('ALTER TABLE person ADD COLUMN d int, DROP CONSTRAINT IF EXISTS person_email_key, DROP CONSTRAINT person_nothing');
SELECT in_both('ALTER TABLE person DROP CONSTRAINT IF EXISTS person_email_key, DROP CONSTRAINT person_a_b_key');
SELECT soft_keys();
-- an error later takes it back
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_code_key, ALTER COLUMN a TYPE int USING a / 0');
SELECT soft_keys();

--
-- A unique index becomes a constraint
--
SELECT in_both('CREATE UNIQUE INDEX person_mail ON person (email)');
SELECT in_both('CREATE UNIQUE INDEX person_lower ON person (lower(email))');
SELECT in_both('CREATE UNIQUE INDEX person_some ON person (email) WHERE a > 0');
SELECT in_both('ALTER TABLE person ADD CONSTRAINT person_email_key UNIQUE USING INDEX person_mail');
SELECT in_both('ALTER TABLE person ADD UNIQUE USING INDEX person_lower');
SELECT in_both('ALTER TABLE person ADD UNIQUE USING INDEX person_some');
SELECT in_both('ALTER TABLE person ADD UNIQUE USING INDEX person_mail');
SELECT soft_keys();
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_email_key');

--
-- Foreign keys to a key among live rows
--
-- not of what is there already
SELECT in_both('CREATE TABLE seat (id int, code text, deleted_at timestamptz)');
SELECT in_both('CREATE TABLE IF NOT EXISTS seat (code text REFERENCES person (code))');
SELECT in_both('ALTER TABLE seat ADD COLUMN IF NOT EXISTS code text REFERENCES person (code)');
SELECT soft_keys() ~ 'code.* WHERE' AS live ORDER BY 1 DESC LIMIT 1;
SELECT in_both('DROP TABLE seat');
SELECT in_both('CREATE TABLE badge (id int PRIMARY KEY, code text REFERENCES person (code), deleted_at timestamptz)');
SELECT in_both('ALTER TABLE person ADD CONSTRAINT person_a_b_key UNIQUE (a, b)');
SELECT in_both('CREATE TABLE seat (id int, x int, y int)');
SELECT in_both('ALTER TABLE seat ADD FOREIGN KEY (y, x) REFERENCES person (b, a)');
SELECT in_both('ALTER TABLE seat ADD COLUMN email text REFERENCES person (email)');
SELECT soft_keys();
SELECT in_both('INSERT INTO badge VALUES (1, ''x'')');
SELECT in_both('INSERT INTO badge VALUES (2, ''none'')');
SELECT in_both('DELETE FROM person WHERE id = 1');
-- what a foreign key refers to is not dropped without it
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_code_key');
SELECT in_both('ALTER TABLE person DROP CONSTRAINT person_code_key CASCADE');
SELECT in_both('DELETE FROM person WHERE id = 1');
SELECT in_both('ALTER TABLE person ADD CONSTRAINT person_code_key UNIQUE (code)');
-- deleted rows with the same key are in its way
INSERT INTO soft.person (id, code) VALUES (3, 'x');
ALTER TABLE soft.badge ADD FOREIGN KEY (code) REFERENCES soft.person (code);
DELETE FROM soft.badge;
DELETE FROM soft.person WHERE deleted_at IS NOT NULL;
ALTER TABLE soft.badge ADD FOREIGN KEY (code) REFERENCES soft.person (code);

--
-- What else wants a key among all rows: primary keys, replica identities
--
SELECT in_both('CREATE TABLE big (id int PRIMARY KEY, new_id bigint NOT NULL, code text NOT NULL, name text, deleted_at timestamptz)');
SELECT in_both('INSERT INTO big VALUES (1, 1, ''a'', ''x''), (2, 2, ''b'', ''y'')');
SELECT in_both('DELETE FROM big WHERE id = 2');
SELECT in_both('CREATE UNIQUE INDEX big_new ON big (new_id)');
SELECT in_both('CREATE UNIQUE INDEX big_code ON big (code)');
SELECT in_both('CREATE UNIQUE INDEX big_name ON big (name)');
SELECT in_both('ALTER TABLE big DROP CONSTRAINT big_pkey, ADD CONSTRAINT big_pkey PRIMARY KEY USING INDEX big_new');
SELECT in_both('ALTER TABLE big REPLICA IDENTITY USING INDEX big_code');
SELECT in_both('ALTER TABLE big REPLICA IDENTITY USING INDEX big_none');
SELECT in_both('ALTER TABLE big REPLICA IDENTITY FULL');
SELECT in_both('ALTER TABLE big ADD CONSTRAINT big_key UNIQUE USING INDEX big_name DEFERRABLE');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'soft.big'::regclass AND contype IN ('p', 'u') ORDER BY 1;
SELECT soft_keys() AS key EXCEPT SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid <> 'soft.big'::regclass ORDER BY 1;
SELECT in_both('INSERT INTO big VALUES (3, 1, ''c'', ''z'')');

--
-- Partitions, and commands in functions
--
SELECT in_both('CREATE TABLE part (id int, k int, deleted_at timestamptz, PRIMARY KEY (id, k), UNIQUE (k)) PARTITION BY LIST (k)');
SELECT in_both('CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1)');
SELECT soft_keys();
SELECT in_both('ALTER TABLE part RENAME CONSTRAINT part_k_key TO part_key');
SELECT in_both('ALTER TABLE part DROP CONSTRAINT part_key');
SELECT in_both('INSERT INTO part VALUES (1, 1), (2, 1)');
CREATE FUNCTION migrate() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE soft.person ADD CONSTRAINT person_key UNIQUE (email, a);
	ALTER TABLE soft.person DROP CONSTRAINT person_key;
END
$$;
SELECT migrate();
SELECT migrate();

--
-- What does not concern the table's keys is as ever
--
CREATE INDEX person_plain ON soft.person (a);
CREATE UNIQUE INDEX badge_key ON soft.badge (id, code);
ALTER TABLE soft.person DROP CONSTRAINT person_plain;
ALTER TABLE soft.person DROP CONSTRAINT badge_key;
ALTER TABLE soft.person DROP CONSTRAINT "no such key";
ALTER TABLE soft.nothing DROP CONSTRAINT person_code_key;
-- neither is a table of others, or one whose soft delete is switched off
CREATE ROLE regress_migrant;
GRANT USAGE ON SCHEMA soft TO regress_migrant;
SET ROLE regress_migrant;
ALTER TABLE soft.badge DROP CONSTRAINT badge_key;
ALTER TABLE soft.badge RENAME CONSTRAINT badge_key TO x;
COMMENT ON CONSTRAINT badge_key ON soft.badge IS 'x';
-- what may not be referred to is refused after what may not be made
CREATE TABLE soft.x (code text REFERENCES migration.x (code));
RESET ROLE;
ALTER TABLE soft.badge DISABLE TRIGGER orm_soft_delete;
ALTER TABLE soft.badge DROP CONSTRAINT badge_key;

\set VERBOSITY terse
DROP SCHEMA plain, soft, migration CASCADE;
DROP ROLE regress_migrant;
