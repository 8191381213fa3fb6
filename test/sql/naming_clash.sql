--
-- A name that is taken gets PostgreSQL's digits, whoever has it: another
-- object of the schema, or the statement itself.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\pset format unaligned
\pset tuples_only on
SET orm_ext.naming_check = off;
CALL compare.name_in_both($$
	CREATE TABLE account (id int PRIMARY KEY, code int UNIQUE);
	CREATE TABLE post (id int, a int, b int, c int);
	CREATE TABLE foo (bar_id int UNIQUE CHECK (bar_id > 0) REFERENCES account);
	CREATE INDEX ON foo (bar_id);
$$);

-- taken by any relation, and only that of the same schema
SELECT compare.naming('CREATE TABLE post_a_key (); ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE VIEW post_a_key AS SELECT 1 AS a; ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE MATERIALIZED VIEW post_a_key AS SELECT 1 AS a; ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE SEQUENCE post_a_key; ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE TYPE post_a_key AS (a int); ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE INDEX post_a_key ON account (id); ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE account ADD CONSTRAINT post_a_key UNIQUE (id, code); ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE account ADD CONSTRAINT post_a_key CHECK (id > 0); ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE account ADD CONSTRAINT post_a_key FOREIGN KEY (id) REFERENCES account; ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE DOMAIN post_a_key AS int; CREATE TYPE post_b_key AS ENUM (); CREATE FUNCTION post_c_key() RETURNS int LANGUAGE sql AS ''SELECT 1''; ALTER TABLE post ADD UNIQUE (a), ADD UNIQUE (b), ADD UNIQUE (c)');
SELECT compare.naming('CREATE DOMAIN d AS int CONSTRAINT post_a_key CHECK (VALUE > 0); ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE TABLE public.post_a_key (); ALTER TABLE post ADD UNIQUE (a); DROP TABLE public.post_a_key');
SELECT compare.naming('CREATE TABLE pg_temp.post_a_key (a int CONSTRAINT post_a_key CHECK (a > 0)); ALTER TABLE post ADD UNIQUE (a); DROP TABLE pg_temp.post_a_key');
SELECT compare.naming('CREATE TABLE "Post_a_key" (); ALTER TABLE post ADD UNIQUE (a)');
-- an index may have the name of a constraint that is none
SELECT compare.naming('ALTER TABLE account ADD CONSTRAINT post_a_idx CHECK (id > 0); CREATE INDEX ON post (a)');
SELECT compare.naming('ALTER TABLE post ADD CONSTRAINT post_a_idx CHECK (id > 0); CREATE INDEX ON post (a)');
SELECT compare.naming('CREATE TABLE post_a_idx (); CREATE INDEX ON post (a); CREATE INDEX ON post (a)');
-- and a constraint that of a relation, unless it is of its own making
SELECT compare.naming('CREATE TABLE post_a_check (); ALTER TABLE post ADD CHECK (a > 0)');
SELECT compare.naming('CREATE TABLE post_a_fkey (); ALTER TABLE post ADD FOREIGN KEY (a) REFERENCES account');
SELECT compare.naming('ALTER TABLE account ADD CONSTRAINT post_a_check CHECK (id > 0); ALTER TABLE post ADD CHECK (a > 0)');
SELECT compare.naming('ALTER TABLE account ADD CONSTRAINT post_a_fkey CHECK (id > 0); ALTER TABLE post ADD FOREIGN KEY (a) REFERENCES account');
SELECT compare.naming('CREATE DOMAIN d AS int CONSTRAINT post_a_check CHECK (VALUE > 0); ALTER TABLE post ADD CHECK (a > 0)');
SELECT compare.naming('CREATE DOMAIN d AS int CONSTRAINT post_a_fkey CHECK (VALUE > 0); ALTER TABLE post ADD FOREIGN KEY (a) REFERENCES account');
SELECT compare.naming('CREATE TABLE public.other (a int CONSTRAINT post_a_check CHECK (a > 0)); ALTER TABLE post ADD CHECK (a > 0); DROP TABLE public.other');
-- several digits
SELECT compare.naming('CREATE TABLE post_a_key (); CREATE VIEW post_a_key1 AS SELECT 1 AS a; CREATE SEQUENCE post_a_key3; ALTER TABLE post ADD UNIQUE (a), ADD UNIQUE (a), ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE post ADD CHECK (a > 0), ADD CHECK (a > 1), ADD CHECK (a > 2), ADD CHECK (a > 3), ADD CHECK (a > 4), ADD CHECK (a > 5), ADD CHECK (a > 6), ADD CHECK (a > 7), ADD CHECK (a > 8), ADD CHECK (a > 9), ADD CHECK (a > 10), ADD CHECK (a > 11)');
-- what has been dropped is free
SELECT compare.naming('ALTER TABLE post ADD UNIQUE (a); ALTER TABLE post DROP CONSTRAINT post_a_key; ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('CREATE INDEX ON post (a); CREATE INDEX ON post (a); DROP INDEX post_a_idx; CREATE INDEX ON post (a)');
SELECT compare.naming('CREATE INDEX ON post (a); ALTER INDEX post_a_idx RENAME TO elsewhere; CREATE INDEX ON post (a)');

-- two tables that run into each other
SELECT compare.naming('CREATE TABLE foo_bar (id int PRIMARY KEY)');
SELECT compare.naming('CREATE TABLE foo_bar (id int UNIQUE)');
SELECT compare.naming('CREATE TABLE foo_bar (id int CHECK (id > 0))');
SELECT compare.naming('CREATE TABLE foo_bar (id int REFERENCES account)');
SELECT compare.naming('CREATE TABLE foo_bar (id int); CREATE INDEX ON foo_bar (id)');
SELECT compare.naming('CREATE TABLE foo_bar (id int); ALTER TABLE foo_bar ADD UNIQUE (id), ADD CHECK (id > 0), ADD FOREIGN KEY (id) REFERENCES account, ADD COLUMN n int UNIQUE');
SELECT compare.naming('CREATE TABLE foo_bar (LIKE foo INCLUDING ALL, id int UNIQUE)');
SELECT compare.naming('CREATE TABLE "foo_bar" ("id" int UNIQUE); CREATE TABLE "Foo" (bar_id int UNIQUE)');

-- the statement itself
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0) CHECK (a < 9), CHECK (a <> 5))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, UNIQUE (a) DEFERRABLE, EXCLUDE (a WITH =), EXCLUDE (a WITH =) WHERE (a > 0))');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account, FOREIGN KEY (a) REFERENCES account (code))');
SELECT compare.naming('CREATE TABLE t (a int, b int, c int, UNIQUE (a, b), UNIQUE (a, c), UNIQUE (b, a), FOREIGN KEY (a) REFERENCES account, UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (LIKE foo INCLUDING ALL, UNIQUE (bar_id) DEFERRABLE)');
SELECT compare.naming('CREATE TABLE t_a (b int UNIQUE, c int, UNIQUE (b, c)); CREATE TABLE t (a_b int UNIQUE)');
SELECT compare.naming('ALTER TABLE post ADD UNIQUE (a, b), ADD UNIQUE (a, c), ADD COLUMN d int UNIQUE, ADD UNIQUE (d, a)');
-- names given further on, over which plain PostgreSQL may fail
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT t_b_key UNIQUE, b int, UNIQUE (b, a), CONSTRAINT t_b_a_key CHECK (b > a))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0), b int CONSTRAINT t_a_check CHECK (b > 0))');
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT t_b_check CHECK (a > 0), b int CHECK (b > 0))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, b int, CONSTRAINT t_a_key UNIQUE (b))');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account, CONSTRAINT t_a_fkey CHECK (a > 0))');
SELECT compare.naming('ALTER TABLE post ADD CHECK (a > 0), ADD CONSTRAINT post_a_check CHECK (b > 0)');
SELECT compare.naming('ALTER TABLE post ADD UNIQUE (a), ADD CONSTRAINT post_a_key UNIQUE (b)');
-- the table that is being made, its sequences and its partition
SELECT compare.naming('CREATE TABLE t (a serial, t_a_seq int); CREATE TABLE u (id serial UNIQUE, a int)');
SELECT compare.naming('CREATE TABLE a_b_key (a int); CREATE TABLE a (b int UNIQUE)');
SELECT compare.naming('CREATE TABLE m (a int, b int, UNIQUE (a, b)) PARTITION BY LIST (a); CREATE TABLE m_a PARTITION OF m DEFAULT; ALTER TABLE m_a ADD UNIQUE (b); ALTER TABLE m ADD UNIQUE (a)');
SELECT compare.naming('CREATE TABLE m_1 (a int UNIQUE); CREATE TABLE m (a int, b int, UNIQUE (a, b)) PARTITION BY LIST (a); CREATE TABLE m_1_a PARTITION OF m (b UNIQUE) DEFAULT');
SELECT compare.naming('CREATE TABLE parent (a int CHECK (a > 0)); CREATE TABLE child (CHECK (a > 1)) INHERITS (parent); ALTER TABLE parent ADD CHECK (a > 2)');
SELECT compare.naming('CREATE TABLE parent (a int CONSTRAINT child_a_check CHECK (a > 0)); CREATE TABLE child (CHECK (a > 1)) INHERITS (parent)');
SELECT compare.naming('CREATE TABLE parent (a int CONSTRAINT child_a_check CHECK (a > 0)); CREATE TABLE child (a int); ALTER TABLE child ADD CHECK (a > 0); ALTER TABLE child INHERIT parent');
SELECT compare.naming('CREATE TABLE parent (a int); CREATE TABLE child (CONSTRAINT parent_a_check CHECK (a > 1)) INHERITS (parent); ALTER TABLE parent ADD CHECK (a > 2)');

-- names of 63 bytes and more, by both rules
CALL compare.name_in_both($$
	CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (b int, c int);			-- 57, so that _b_key makes 63
	CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (b int, c int);	-- 63
	CREATE TABLE ääääääääääääääääääääääääääää (b int, ö int);										-- 56 bytes
$$);
SELECT compare.naming('ALTER TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b), ADD CHECK (b > 0), ADD CHECK (b > 1)');
SELECT compare.naming('ALTER TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (c), ADD CHECK (b > 0), ADD CHECK (b > 1)');
SELECT compare.naming('ALTER TABLE ääääääääääääääääääääääääääää ADD UNIQUE (b), ADD UNIQUE (ö), ADD UNIQUE (ö), ADD CHECK (b > 0), ADD CHECK (b > 1)');
SELECT compare.naming($$
	DO $do$ BEGIN
		FOR i IN 1 .. 12 LOOP CREATE INDEX ON aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (b); END LOOP;
	END $do$;
$$);
SELECT compare.naming($$
	CREATE TABLE "äaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" (b int, "aaaaä" int);
	DO $do$ BEGIN
		FOR i IN 1 .. 11 LOOP CREATE INDEX ON "äaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" ("aaaaä"); END LOOP;
	END $do$;
$$);
-- none is over 63 bytes or the same as another, and the digits are all there
CREATE TABLE soft.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (b int, äöü int, 表表 int);
DO $$
BEGIN
	SET LOCAL search_path = soft;
	SET LOCAL debug_discard_caches = 0;
	FOR i IN 1 .. 105 LOOP
		CREATE INDEX ON aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (b);
		CREATE INDEX ON aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (äöü);
		CREATE INDEX ON aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (表表);
	END LOOP;
END
$$;
SELECT definition, count(*), count(DISTINCT name), max(octet_length(name)), count(*) FILTER (WHERE name ~ '[0-9]$'), min(name COLLATE "C"), max(name COLLATE "C")
FROM compare.names('soft') WHERE "table" = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' GROUP BY definition ORDER BY definition;
SELECT count(*), count(*) FILTER (WHERE conforms) FROM orm_ext.naming_audit('soft') WHERE "table" = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
DROP TABLE soft.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;

--
-- With PostgreSQL's own convention, all of these are what it makes, or fails to
--
SELECT orm_ext.use_naming('all_columns', overflow => 'postgres');
\pset tuples_only off
SELECT * FROM compare.differences();
\pset tuples_only on

--
-- Templates that name everything the same
--
DELETE FROM orm_ext.naming_template;
INSERT INTO orm_ext.naming_template (kind, template) SELECT kind, 'x' FROM unnest('{pk,uq,fk,ck,ix,ex}'::text[]) AS kind;
SET search_path = soft;
CREATE TABLE t (a int PRIMARY KEY CHECK (a > 0), b int UNIQUE REFERENCES account, EXCLUDE (b WITH =));
CREATE INDEX ON t (a);
ALTER TABLE t ADD COLUMN c int CHECK (c > 0) UNIQUE, ADD UNIQUE (a, b);
SELECT name, definition FROM compare.names('soft') WHERE "table" = 't' ORDER BY length(name), name, definition;
SELECT name, conforms FROM orm_ext.naming_audit('soft') WHERE "table" = 't' AND NOT conforms;
DROP TABLE t;
-- the table's own name, its sequence's
UPDATE orm_ext.naming_template SET template = '%(table_name)s';
CREATE TABLE t (a int PRIMARY KEY, b int CHECK (b > 0));
CREATE INDEX ON t (b);
SELECT name, definition FROM compare.names('soft') WHERE "table" = 't' ORDER BY name;
DROP TABLE t;
UPDATE orm_ext.naming_template SET template = '%(table_name)s_%(column_0_name)s_seq';
CREATE TABLE t (a serial PRIMARY KEY, b int GENERATED ALWAYS AS IDENTITY UNIQUE, c serial, CHECK (c > 0));
SELECT name, definition FROM compare.names('soft') WHERE "table" = 't' ORDER BY name;
SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_depend AS d ON d.objid = c.oid AND d.deptype IN ('a', 'i')
	JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relkind = 'S' AND d.refobjid = 't'::regclass ORDER BY 1;
DROP TABLE t;
-- a name that ends in a digit
UPDATE orm_ext.naming_template SET template = '%(table_name)s_1' WHERE kind <> 'ix';
CREATE TABLE t (a int UNIQUE, b int UNIQUE, CHECK (a > b));
SELECT name, definition FROM compare.names('soft') WHERE "table" = 't' ORDER BY name;
SELECT count(*) FILTER (WHERE conforms), count(*) FROM orm_ext.naming_audit('soft') WHERE "table" = 't';
DROP TABLE t;
-- several tables in one statement
UPDATE orm_ext.naming_template SET template = 'y';
RESET search_path;
CREATE SCHEMA regress_orm_elements
	CREATE TABLE b (id int PRIMARY KEY, a_id int UNIQUE)
	CREATE TABLE a (id int PRIMARY KEY, b_id int REFERENCES b, n int CHECK (n > 0), UNIQUE (b_id, n))
	CREATE INDEX ON a (n, b_id);
SELECT "table", count(*), count(DISTINCT name) FROM compare.names('regress_orm_elements') GROUP BY "table" ORDER BY "table";
DELETE FROM orm_ext.naming_template;
CREATE SCHEMA regress_orm_elements2
	CREATE TABLE foo (bar_id int UNIQUE)
	CREATE TABLE foo_bar (id int UNIQUE, PRIMARY KEY (id))
	CREATE TABLE foo_bar_id (key int UNIQUE, PRIMARY KEY (key));
SELECT "table", name FROM compare.names('regress_orm_elements2') ORDER BY "table", name;

SET client_min_messages = warning;
DROP SCHEMA soft, twin, regress_orm_elements, regress_orm_elements2 CASCADE;
TRUNCATE compare.asked;
