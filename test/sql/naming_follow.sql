--
-- Tables and columns are renamed: names that followed the convention no longer
-- do.  A warning tells of them, or they follow.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET orm_ext.naming_check = warn;
CREATE TABLE account (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE post (
	id serial PRIMARY KEY, account_id int REFERENCES account UNIQUE, a int CHECK (a > 0), b int GENERATED ALWAYS AS IDENTITY,
	title text, CONSTRAINT post_sane_check CHECK (a < 9), CHECK (a > b), UNIQUE (a, b), UNIQUE (a, id), EXCLUDE (b WITH =, a WITH =)
);
CREATE INDEX ON post (a);
CREATE INDEX ON post (lower(title), a);
CREATE INDEX ON post (b) WHERE a > 0;
CREATE UNIQUE INDEX post_b_key ON post (b);
SET orm_ext.naming_check = off;
ALTER TABLE post ADD CONSTRAINT odd UNIQUE (title);
CREATE INDEX odd_too ON post (a, title);
CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post, parent_id int REFERENCES comment, post_a int, post_b int, FOREIGN KEY (post_a, post_b) REFERENCES post (a, b));
SET orm_ext.naming_check = warn;

-- Every name of schema soft by object, but for NOT NULL constraints, which only 18 has.
CREATE VIEW named AS
	SELECT oid, relname::text AS name FROM pg_class WHERE relnamespace = 'soft'::regnamespace AND relkind IN ('i', 'I', 'S')
	UNION ALL
	SELECT oid, conname FROM pg_constraint
	WHERE connamespace = 'soft'::regnamespace AND contype <> 'n' AND (conindid = 0 OR contype = 'f');
-- What else a statement renames, and what the audit finds no longer to follow; it is undone.
-- Only the statement itself discards caches, where the server is set to.
CREATE FUNCTION renamed(statement text, mode text DEFAULT 'on', discard text DEFAULT current_setting('debug_discard_caches')) RETURNS SETOF text
LANGUAGE plpgsql SET client_min_messages = error SET debug_discard_caches = 0 AS $$
DECLARE
	oids oid[];
	names text[];
	before oid[] := ARRAY(SELECT objid FROM orm_ext.naming_audit('soft') WHERE NOT conforms);
	lines text[];
BEGIN
	SELECT array_agg(oid), array_agg(name) INTO oids, names FROM soft.named;
	PERFORM set_config('orm_ext.naming_follow', mode, true);
	PERFORM set_config('debug_discard_caches', discard, true);
	EXECUTE statement;
	PERFORM set_config('debug_discard_caches', '0', true);
	lines := ARRAY(SELECT format('%s -> %s', old.name, new.name)
				   FROM unnest(oids, names) AS old (oid, name) JOIN soft.named AS new USING (oid)
				   WHERE new.name <> old.name ORDER BY old.name COLLATE "C")
		|| ARRAY(SELECT format('%s of %s no longer follows, expected: %s', name, "table", expected)
				 FROM orm_ext.naming_audit('soft') WHERE NOT conforms AND objid <> ALL (before) ORDER BY name COLLATE "C");
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN
		RETURN QUERY SELECT unnest(CASE lines WHEN '{}' THEN '{nothing}' ELSE lines END);
	WHEN OTHERS THEN
		RETURN NEXT SQLSTATE || ' ' || SQLERRM;
END
$$;

--
-- A warning, whatever is to happen with explicit names, or none
--
SHOW orm_ext.naming_follow;
BEGIN;
ALTER TABLE post RENAME TO article;
ROLLBACK;
BEGIN;
ALTER TABLE post RENAME COLUMN account_id TO owner_id;
ROLLBACK;
BEGIN;
ALTER TABLE account RENAME code TO number;
SAVEPOINT s;
SELECT sql FROM orm_ext.naming_plan('soft');
SELECT sql FROM orm_ext.naming_plan('soft') \gexec
SELECT name FROM orm_ext.naming_violations WHERE schema = 'soft' ORDER BY name;
ROLLBACK TO s;
SET LOCAL orm_ext.naming_check = error;
ALTER TABLE account RENAME TO client;
SET LOCAL orm_ext.naming_check = off;
ALTER TABLE client RENAME TO customer;
-- nothing that followed
SET LOCAL orm_ext.naming_check = warn;
ALTER TABLE customer RENAME TO anything;
ALTER TABLE anything RENAME number TO anything;
ROLLBACK;
SELECT renamed('ALTER TABLE post RENAME TO article', 'off');
SELECT renamed('ALTER TABLE post RENAME COLUMN a TO c', 'off');

--
-- Or they follow: those that did before, and sequences
--
SELECT renamed('ALTER TABLE post RENAME TO article');
SELECT renamed('ALTER TABLE post RENAME COLUMN a TO c');
SELECT renamed('ALTER TABLE post RENAME b TO c');
SELECT renamed('ALTER TABLE post RENAME COLUMN account_id TO owner_id');
SELECT renamed('ALTER TABLE post RENAME COLUMN title TO heading');
SELECT renamed('ALTER TABLE post RENAME COLUMN id TO number');
SELECT renamed('ALTER TABLE account RENAME COLUMN code TO "Code, new"');
SELECT renamed('ALTER TABLE account RENAME TO "Client ""x"" %s"');
SELECT renamed('ALTER TABLE comment RENAME COLUMN parent_id TO reply_to');
SELECT renamed('ALTER TABLE comment RENAME TO remark');
-- without a word
SET orm_ext.naming_follow = on;
BEGIN;
ALTER TABLE post RENAME TO article;
ALTER TABLE article RENAME a TO c;
SELECT name, definition FROM compare.names('soft') WHERE "table" = 'article' ORDER BY name;
SELECT pg_get_serial_sequence('article', 'id'), pg_get_serial_sequence('article', 'b');
INSERT INTO article (account_id) SELECT NULL RETURNING id, b;
-- and back
ALTER TABLE article RENAME c TO a;
ALTER TABLE article RENAME TO post;
SELECT name FROM compare.names('soft') WHERE "table" = 'post' ORDER BY name;
SELECT pg_get_serial_sequence('post', 'id'), pg_get_serial_sequence('post', 'b');
ROLLBACK;
-- the new names follow the convention, whatever is said of others
SET orm_ext.naming_check = error;
SELECT renamed('ALTER TABLE account RENAME TO client');
SET orm_ext.naming_check = warn;
-- tables that change places
SELECT renamed('ALTER TABLE account RENAME TO spare; ALTER TABLE comment RENAME TO account; ALTER TABLE spare RENAME TO comment');
SELECT renamed('ALTER TABLE post RENAME a TO spare; ALTER TABLE post RENAME b TO a; ALTER TABLE post RENAME spare TO b');
-- names that are taken
SELECT renamed('CREATE TABLE article_pkey (id int); CREATE VIEW article_id_seq AS SELECT 1 AS a; CREATE DOMAIN d AS int CONSTRAINT article_a_check CHECK (VALUE > 0); ALTER TABLE post RENAME TO article');
SELECT renamed('ALTER TABLE post ADD UNIQUE (id, title), ADD UNIQUE (id, a); ALTER TABLE post RENAME COLUMN a TO id2; ALTER TABLE post RENAME id TO a');
-- with the digits that they need, not those they had
SELECT renamed('CREATE TABLE t (a int UNIQUE, UNIQUE (a) DEFERRABLE, UNIQUE NULLS NOT DISTINCT (a)); ALTER TABLE t DROP CONSTRAINT t_a_key; ALTER TABLE t RENAME TO u; CREATE TABLE seen AS SELECT name FROM compare.names(''soft'') WHERE "table" = ''u''; DO $do$ BEGIN RAISE EXCEPTION ''%'', (SELECT string_agg(name, '', '' ORDER BY name) FROM seen); END $do$');
-- over-long ones
SELECT renamed('ALTER TABLE account RENAME TO reporting_monthly_customer_subscription_renewal_summary_line; ALTER TABLE reporting_monthly_customer_subscription_renewal_summary_line RENAME code TO subscription_id');
SELECT renamed('ALTER TABLE account RENAME TO reporting_monthly_customer_subscription_renewal_summary_line; ALTER TABLE reporting_monthly_customer_subscription_renewal_summary_line RENAME TO account');
-- what had another name before keeps it
SELECT renamed('ALTER SEQUENCE post_id_seq RENAME TO numbers; ALTER SEQUENCE post_b_seq RENAME TO more_numbers; CREATE TABLE seen AS SELECT oid FROM named; ALTER TABLE post RENAME TO article');
SELECT renamed('CREATE SCHEMA other; ALTER TABLE post ALTER b DROP IDENTITY; ALTER SEQUENCE post_id_seq OWNED BY NONE; ALTER TABLE post RENAME TO article; DROP SCHEMA other');
SELECT renamed('CREATE SEQUENCE post_title_seq; ALTER TABLE post RENAME title TO heading');

-- foreign keys of others, where the convention has what they refer to in it
INSERT INTO orm_ext.naming_template (kind, template) VALUES ('fk', 'fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s_%(referred_column_0_N_name)s');
SELECT count(*) FROM orm_ext.naming_plan('soft');
SELECT sql FROM orm_ext.naming_plan('soft') \gexec
SELECT count(*) FROM orm_ext.naming_plan('soft') WHERE kind = 'fk';
SELECT renamed('ALTER TABLE post RENAME TO article');
SELECT renamed('ALTER TABLE post RENAME b TO c');
SELECT renamed('ALTER TABLE account RENAME id TO number');
SELECT renamed('ALTER TABLE comment RENAME TO remark');
SELECT renamed('ALTER TABLE comment RENAME id TO number');
SET orm_ext.naming_follow = off;
BEGIN;
ALTER TABLE post RENAME TO article;
ALTER TABLE account RENAME id TO number;
ROLLBACK;
SET orm_ext.naming_follow = on;
DELETE FROM orm_ext.naming_template;
-- no convention, nothing to follow, but sequences
SELECT orm_ext.use_naming('none');
SELECT renamed('ALTER TABLE post RENAME TO article');
DELETE FROM orm_ext.naming_template;

--
-- Other tables
--
CREATE TABLE parent (id int, a int CHECK (a > 0), b int UNIQUE, CHECK (a > b));
CREATE TABLE child (c int, UNIQUE (a, c), CHECK (a < c), CHECK (a < 100)) INHERITS (parent);
CREATE INDEX ON child (a);
SELECT renamed('ALTER TABLE parent RENAME a TO z');
SELECT renamed('ALTER TABLE parent RENAME TO ancestor');
SELECT renamed('ALTER TABLE child RENAME TO heir');
SELECT renamed('ALTER TABLE child RENAME c TO z');
SELECT renamed('ALTER TABLE child RENAME a TO z');
SELECT renamed('ALTER TABLE ONLY parent RENAME a TO z');
CREATE TABLE measure (at date, a int CHECK (a > 0), b int REFERENCES account, PRIMARY KEY (at, a), UNIQUE (a, at)) PARTITION BY RANGE (at);
CREATE INDEX ON measure (a);
CREATE TABLE measure_1 PARTITION OF measure (UNIQUE (b), CHECK (b > 0)) DEFAULT;
SELECT renamed('ALTER TABLE measure RENAME TO reading');
SELECT renamed('ALTER TABLE measure RENAME a TO z');
SELECT renamed('ALTER TABLE measure RENAME b TO z');
SELECT renamed('ALTER TABLE measure_1 RENAME TO reading_1');
-- of a typed table, the server renames no constraints
CREATE TYPE pair AS (a int, b int);
CREATE TABLE typed OF pair (UNIQUE (a), CHECK (a > 0), FOREIGN KEY (b) REFERENCES account);
SELECT renamed('ALTER TABLE typed RENAME TO other');
DROP TABLE typed;
CREATE MATERIALIZED VIEW seen AS SELECT id, title FROM post;
CREATE UNIQUE INDEX ON seen (id, title);
CREATE INDEX ON seen (title);
SELECT renamed('ALTER MATERIALIZED VIEW seen RENAME TO viewed');
SELECT renamed('ALTER TABLE seen RENAME TO viewed');
SELECT renamed('ALTER MATERIALIZED VIEW seen RENAME COLUMN title TO heading');
SELECT renamed('ALTER TABLE post RENAME COLUMN title TO heading');
CREATE VIEW post_view AS SELECT * FROM post;
SELECT renamed('ALTER VIEW post_view RENAME TO post_seen');
SELECT renamed('ALTER VIEW post_view RENAME COLUMN a TO z');
SELECT renamed('ALTER TABLE post_view RENAME COLUMN a TO z');
SELECT renamed('ALTER INDEX post_pkey RENAME TO another');
SELECT renamed('ALTER SEQUENCE post_id_seq RENAME TO another');
SELECT renamed('ALTER TABLE post_id_seq RENAME TO another');
SELECT renamed('ALTER TABLE post RENAME CONSTRAINT post_pkey TO another');
SELECT renamed('ALTER VIEW post RENAME COLUMN a TO z');
SELECT renamed('ALTER FOREIGN TABLE post RENAME COLUMN a TO z');
SELECT renamed('ALTER TABLE soft.post RENAME COLUMN a TO z; SET LOCAL search_path = ''''; ALTER TABLE soft.post RENAME TO article');
CREATE TEMPORARY TABLE temporary (a int UNIQUE, b int, CHECK (a > 0));
ALTER TABLE temporary RENAME a TO z;
ALTER TABLE temporary RENAME TO temporary2;
SELECT name FROM pg_namespace, compare.names(nspname) WHERE oid = pg_my_temp_schema() ORDER BY name;
DISCARD TEMP;

-- what fails, fails as it always did, and what does nothing does nothing
SELECT renamed('ALTER TABLE post RENAME TO account');
SELECT renamed('ALTER TABLE post RENAME a TO b');
SELECT renamed('ALTER TABLE post RENAME nope TO b');
SELECT renamed('ALTER TABLE nope RENAME TO post');
SELECT renamed('ALTER TABLE nope RENAME a TO b');
SELECT renamed('ALTER TABLE post RENAME ctid TO b');
SELECT renamed('ALTER TABLE post RENAME a TO a');
SELECT renamed('ALTER TABLE post RENAME TO post');
SELECT renamed('ALTER TABLE pg_class RENAME relname TO a');
SELECT renamed('ALTER TABLE IF EXISTS nope RENAME TO post');
SELECT renamed('ALTER TABLE IF EXISTS nope RENAME a TO post');
SELECT renamed('ALTER SCHEMA soft RENAME TO soft');

-- in a function, twice; and undone with what goes wrong after it
SELECT renamed($$
	CREATE FUNCTION rename() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE account RENAME TO spare; ALTER TABLE comment RENAME TO account; ALTER TABLE spare RENAME TO comment; END';
	SELECT rename();
	SELECT rename();
$$);
SELECT renamed($$
	DO $do$ BEGIN
		ALTER TABLE account RENAME TO client;
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN
		ALTER TABLE account RENAME TO customer;
	END $do$
$$);
-- while a dump is restored, nothing is renamed
SELECT renamed('SET LOCAL row_security = off; SET LOCAL check_function_bodies = off; ALTER TABLE account RENAME TO client');

--
-- Only what the user may rename: of tables of others, there is a warning
--
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_other;
GRANT USAGE, CREATE ON SCHEMA soft TO regress_orm_owner, regress_orm_other;
GRANT SELECT ON named TO PUBLIC;
INSERT INTO orm_ext.naming_template (kind, template) VALUES ('fk', '%(table_name)s_%(referred_table_name)s_fkey');
SET ROLE regress_orm_owner;
CREATE TABLE own (id serial PRIMARY KEY, a int CHECK (a > 0));
GRANT REFERENCES ON own TO regress_orm_other;
SET ROLE regress_orm_other;
CREATE TABLE others (id int PRIMARY KEY, own_id int REFERENCES own);
SET ROLE regress_orm_owner;
CREATE TABLE own_too (own_id int REFERENCES own);
BEGIN;
ALTER TABLE own RENAME TO mine;
SELECT "table", name FROM compare.names('soft') WHERE "table" IN ('mine', 'others', 'own_too') ORDER BY "table", name;
SELECT pg_get_serial_sequence('mine', 'id');
ROLLBACK;
SET orm_ext.naming_follow = off;
ALTER TABLE others RENAME TO mine;
ALTER TABLE others RENAME own_id TO mine;
RESET ROLE;

RESET search_path;
DELETE FROM orm_ext.naming_template;
SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_owner, regress_orm_other;
