--
-- What names there are, what they should be, and the way there.
--
CREATE SCHEMA soft;
SET client_min_messages = warning;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET orm_ext.naming_check = off;
CREATE TABLE account (id int CONSTRAINT account_primary PRIMARY KEY, code text UNIQUE, region text, country text, CONSTRAINT account_region_country_key UNIQUE (region, country));
CREATE TABLE post (
	id int PRIMARY KEY, account_id int CONSTRAINT post_to_account REFERENCES account, a int CHECK (a > 0), b int,
	title text CONSTRAINT sane CHECK (title > ''), CONSTRAINT ck_post_title_long CHECK (length(title) < 99), CHECK (a > b),
	CONSTRAINT "Strange ""name""" UNIQUE (b), CONSTRAINT overlap EXCLUDE (a WITH =, b WITH =)
);
CREATE INDEX by_title ON post (lower(title), a);
CREATE UNIQUE INDEX post_a_key ON post (a, b);
CREATE UNIQUE INDEX post_unique_b ON post (b) WHERE a > 0;
CREATE INDEX constant ON post ((1));
CREATE INDEX ON post (a);
CREATE TABLE "Odd.Table" ("Odd Column" int CONSTRAINT "u.1" UNIQUE, c int CONSTRAINT "c.1" CHECK (c > 0) CONSTRAINT "to.1" REFERENCES account);
SELECT kind, "table", name, expected, conforms, exempt, object FROM orm_ext.naming_audit('soft');
-- object and address are those of the name
SELECT count(*), count(*) FILTER (WHERE (pg_identify_object(classid, objid, 0)).identity
	= CASE classid WHEN 'pg_constraint'::regclass THEN format('%I on %I.%I', name, schema, "table") ELSE format('%I.%I', schema, name) END)
FROM orm_ext.naming_audit('soft');
SELECT count(*), count(*) FILTER (WHERE object = format('%I.%I.%I', schema, "table", name) AND parse_ident(object) = ARRAY[schema, "table", name]::text[]) FROM orm_ext.naming_audit('soft');
-- naming_violations has what neither conforms nor is exempt, of all schemas
SELECT * FROM (
	(SELECT kind, schema, "table", name, expected, object, classid, objid FROM orm_ext.naming_audit() WHERE NOT conforms AND NOT exempt EXCEPT TABLE orm_ext.naming_violations)
	UNION ALL
	(TABLE orm_ext.naming_violations EXCEPT SELECT kind, schema, "table", name, expected, object, classid, objid FROM orm_ext.naming_audit() WHERE NOT conforms AND NOT exempt)) AS difference;
SELECT count(*) FROM orm_ext.naming_violations WHERE schema = 'soft';
SELECT count(*) FROM orm_ext.naming_audit('nope');
SELECT count(*) FROM orm_ext.naming_audit('orm_ext');
SELECT count(*) FROM orm_ext.naming_audit() WHERE schema ~ '^pg_' OR schema = 'information_schema';
-- what should be is what an unnamed one gets, before digits
SELECT DISTINCT kind, expected = orm_ext.expected_name(kind, format('%I.%I', schema, "table")::regclass,
	CASE kind WHEN 'ix' THEN ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = objid ORDER BY attnum)
		ELSE ARRAY(SELECT attname::text FROM pg_constraint AS c, unnest(conkey) WITH ORDINALITY AS k (n, nth), pg_attribute WHERE c.oid = objid AND attrelid = conrelid AND attnum = k.n ORDER BY nth) END) AS same
FROM orm_ext.naming_audit('soft') WHERE kind IN ('pk', 'uq', 'fk', 'ex') ORDER BY kind;

--
-- What is left out
--
CREATE SCHEMA soft2;
SET search_path = soft2;
CREATE TABLE measure (at date, a int CONSTRAINT odd1 CHECK (a > 0), b int CONSTRAINT odd2 REFERENCES soft.account, CONSTRAINT odd3 PRIMARY KEY (at, a)) PARTITION BY RANGE (at);
CREATE INDEX odd4 ON measure (b);
CREATE TABLE measure_1 PARTITION OF measure (CONSTRAINT odd5 UNIQUE (a)) DEFAULT PARTITION BY LIST (a);
CREATE TABLE measure_1_1 PARTITION OF measure_1 DEFAULT;
CREATE TABLE parent (a int CONSTRAINT odd6 CHECK (a > 0));
CREATE TABLE child (b int CONSTRAINT odd7 UNIQUE) INHERITS (parent);
CREATE TABLE merged (a int CONSTRAINT odd6 CHECK (a > 0)) INHERITS (parent);
CREATE TABLE refers (at date, a int, CONSTRAINT odd8 FOREIGN KEY (at, a) REFERENCES measure);
CREATE MATERIALIZED VIEW seen AS SELECT 1 AS a;
CREATE INDEX odd9 ON seen (a);
CREATE DOMAIN d AS int CONSTRAINT odd CHECK (VALUE > 0);
CREATE TABLE not_null (a int CONSTRAINT odd NOT NULL, b int CONSTRAINT odd DEFAULT 1);
CREATE UNLOGGED TABLE unlogged (a int CONSTRAINT odd10 UNIQUE);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE typed OF pair (CONSTRAINT odd11 UNIQUE (a));
CREATE TEMPORARY TABLE temporary (a int CONSTRAINT odd UNIQUE);
CREATE TABLE triggered (a int);
CREATE CONSTRAINT TRIGGER odd AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TABLE member (a int CONSTRAINT odd UNIQUE);
ALTER EXTENSION orm_ext ADD TABLE member;
SELECT kind, "table", name, expected, conforms FROM orm_ext.naming_audit('soft2');
ALTER EXTENSION orm_ext DROP TABLE member;
-- an index that could not be built counts, unless it is what REINDEX left
CREATE TABLE twice (a int, b int);
INSERT INTO twice VALUES (1, 1), (1, 1);
CREATE UNIQUE INDEX CONCURRENTLY odd12_ccnew ON twice (a);
CREATE UNIQUE INDEX CONCURRENTLY odd13_ccold1 ON twice (b);
CREATE UNIQUE INDEX CONCURRENTLY odd14 ON twice (b, a);
CREATE INDEX odd15_ccnew ON twice (a);
SELECT name, expected, conforms FROM orm_ext.naming_audit('soft2') WHERE "table" = 'twice';
SELECT count(*), count(*) FILTER (WHERE schema IN ('soft', 'soft2')) FROM orm_ext.naming_violations;
DROP SCHEMA soft2 CASCADE;
SET search_path = soft;

--
-- The plan
--
SELECT kind, "table", name, new_name, sql, lock_mode, referrers FROM orm_ext.naming_plan('soft');
-- naming_moves() is the plan without referrers
SELECT count(*) FROM (SELECT kind, schema, "table", name, new_name, sql, lock_mode FROM orm_ext.naming_plan('soft') EXCEPT SELECT * FROM orm_ext.naming_moves('soft')) AS difference;
SELECT count(*) FROM orm_ext.naming_plan('nope');
-- it says who has the old name in its text
CREATE FUNCTION upsert() RETURNS void LANGUAGE sql AS 'INSERT INTO soft.account (id) VALUES (1) ON CONFLICT ON CONSTRAINT account_primary DO NOTHING';
CREATE FUNCTION other() RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''my_account_primary account_primary2''; END';
CREATE VIEW shown AS SELECT 'post_to_account'::text AS name;
CREATE FUNCTION quoted() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'by_title, "Strange ""name""", sane'; END $$;
PREPARE upsert AS INSERT INTO account (id) VALUES (1) ON CONFLICT ON CONSTRAINT account_primary DO NOTHING;
SELECT name, referrers FROM orm_ext.naming_plan('soft') WHERE referrers <> '{}' ORDER BY name;
DEALLOCATE upsert;
DROP FUNCTION upsert(), other(), quoted();
DROP VIEW shown;

-- Run a plan, and tell whether it leads where it should: to no violations, and
-- with nothing changed but names.  It is undone, and no caches are discarded.
CREATE FUNCTION carried_out(schema name) RETURNS SETOF text
LANGUAGE plpgsql SET client_min_messages = error SET debug_discard_caches = 0 AS $$
DECLARE
	lines text[] := '{}';
	before text := (SELECT string_agg(n."table" || n.definition, ';' ORDER BY n."table", n.definition) FROM compare.names($1) AS n);
	oids oid[] := ARRAY(SELECT object FROM compare.names($1) ORDER BY object);
	step record;
BEGIN
	FOR step IN SELECT * FROM orm_ext.naming_plan($1) LOOP
		EXECUTE step.sql;
		lines := lines || format('%s: %s -> %s', step."table", step.name, step.new_name);
	END LOOP;
	lines := lines
		|| ARRAY(SELECT 'STILL: ' || v.name FROM orm_ext.naming_violations AS v WHERE v.schema = $1 ORDER BY v.name)
		|| ARRAY(SELECT 'AGAIN: ' || p.sql FROM orm_ext.naming_plan($1) AS p)
		|| CASE WHEN before <> (SELECT string_agg(n."table" || n.definition, ';' ORDER BY n."table", n.definition) FROM compare.names($1) AS n) THEN '{MORE THAN NAMES HAS CHANGED}' ELSE '{}'::text[] END
		|| CASE WHEN oids <> ARRAY(SELECT object FROM compare.names($1) ORDER BY object) THEN '{OBJECTS HAVE CHANGED}' ELSE '{}'::text[] END;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN QUERY SELECT unnest(lines);
END
$$;
SELECT carried_out('soft');

-- in an order that runs
CREATE SCHEMA soft2;
SET search_path = soft2;
SET orm_ext.naming_check = off;
-- a chain, whose last name is free
CREATE TABLE t (a int CONSTRAINT t_b_key UNIQUE, b int CONSTRAINT t_c_key UNIQUE, c int CONSTRAINT t_d_key UNIQUE, d int);
SELECT soft.carried_out('soft2');
DROP TABLE t;
-- two that have each other's name, and three in a ring
CREATE TABLE t (a int CONSTRAINT t_b_key UNIQUE, b int CONSTRAINT t_a_key UNIQUE);
SELECT soft.carried_out('soft2');
DROP TABLE t;
CREATE TABLE t (a int CONSTRAINT t_b_key UNIQUE, b int CONSTRAINT t_c_key UNIQUE, c int CONSTRAINT t_a_key UNIQUE);
SELECT soft.carried_out('soft2');
DROP TABLE t;
CREATE TABLE t (a int, b int, CONSTRAINT t_b_check CHECK (a > 0), CONSTRAINT x CHECK (b > 0));
CREATE TABLE u (a int REFERENCES soft.account, b int REFERENCES soft.account);
ALTER TABLE u RENAME CONSTRAINT u_a_fkey TO spare;
ALTER TABLE u RENAME CONSTRAINT u_b_fkey TO u_a_fkey;
ALTER TABLE u RENAME CONSTRAINT spare TO u_b_fkey;
SELECT soft.carried_out('soft2');
DROP TABLE t, u;
-- between tables, and between indexes and constraints
CREATE TABLE t (a int CONSTRAINT u_pkey PRIMARY KEY);
CREATE TABLE u (a int CONSTRAINT t_pkey PRIMARY KEY, b int);
CREATE INDEX u_b_key ON u (b);
ALTER TABLE u ADD CONSTRAINT u_b_idx UNIQUE (b);
SELECT soft.carried_out('soft2');
DROP TABLE t, u;
-- a name that is held for good, by what conforms, by a table, a view, a sequence, a CHECK
CREATE TABLE t (a int CONSTRAINT odd UNIQUE, b int UNIQUE, c int CONSTRAINT odd_too UNIQUE, d int CONSTRAINT odd3 UNIQUE, e int CONSTRAINT odd4 UNIQUE, CONSTRAINT t_a_key UNIQUE (a, b));
CREATE TABLE t_c_key ();
CREATE VIEW t_d_key AS SELECT 1 AS a;
CREATE TABLE w (a int CONSTRAINT w_check1 CHECK (a > 0));
ALTER TABLE w ADD CONSTRAINT t_e_key CHECK (a > 0);
SELECT soft.carried_out('soft2');
-- exempt, so it stays where it is
INSERT INTO orm_ext.naming_exemption (object, reason) VALUES ('soft2.w.t_e_key', 'test');
SELECT soft.carried_out('soft2');
DELETE FROM orm_ext.naming_exemption;
DROP TABLE t, t_c_key, w;
DROP VIEW t_d_key;
-- several that should have the same name, one of which has it with a digit
CREATE TABLE t (a int, b int, CONSTRAINT t_a_key2 UNIQUE (a), CONSTRAINT odd1 UNIQUE (a, b), CONSTRAINT odd2 UNIQUE (a) DEFERRABLE, CONSTRAINT odd3 UNIQUE (a, b) DEFERRABLE);
SELECT soft.carried_out('soft2');
DROP TABLE t;
-- CHECKs keep what they are called inside other conventions
CREATE TABLE t (a int, b int, CONSTRAINT ck_t_sane CHECK (a > b), CONSTRAINT t_positive CHECK (a > 0), CONSTRAINT positive_check CHECK (b > 0), CONSTRAINT "T_Upper" CHECK (b < 9), CONSTRAINT sane CHECK (a < b), CONSTRAINT ck_t_ CHECK (a < 9), CONSTRAINT _check CHECK (a < 8));
SELECT soft.carried_out('soft2');
DROP TABLE t;
-- CHECKs of the same name in tables of one kind stay the same
CREATE TABLE t (a int, CONSTRAINT odd CHECK (a > 0));
CREATE TABLE u (LIKE t INCLUDING CONSTRAINTS);
SELECT soft.carried_out('soft2');
DROP TABLE t, u;
-- inherited and cloned ones go with their parents'
CREATE TABLE parent (a int CONSTRAINT odd CHECK (a > 0), b int CONSTRAINT odd2 UNIQUE);
CREATE TABLE child (CONSTRAINT odd3 UNIQUE (a)) INHERITS (parent);
CREATE TABLE measure (a int CONSTRAINT odd4 PRIMARY KEY, b int CONSTRAINT odd5 CHECK (b > 0) CONSTRAINT odd6 REFERENCES soft.account) PARTITION BY LIST (a);
CREATE TABLE measure_1 PARTITION OF measure DEFAULT;
CREATE INDEX odd7 ON measure (b);
CREATE MATERIALIZED VIEW seen AS SELECT 1 AS a;
CREATE INDEX odd8 ON seen (a);
SELECT soft.carried_out('soft2');
-- and all that a table may have, with a column that is no more
CREATE FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE SERVER regress_orm_server FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE FOREIGN TABLE far (a int CONSTRAINT odd10 CHECK (a > 0)) SERVER regress_orm_server;
CREATE TABLE much (x int, a int, b int, c text, CONSTRAINT odd11 CHECK (a > 0) NO INHERIT, CONSTRAINT odd12 UNIQUE (a) INCLUDE (b) DEFERRABLE, CONSTRAINT odd13 EXCLUDE (abs(b) WITH =) WHERE (a > 0));
ALTER TABLE much DROP COLUMN x, ADD CONSTRAINT odd14 CHECK (b > 0) NOT VALID, ADD CONSTRAINT odd15 FOREIGN KEY (b) REFERENCES soft.account NOT VALID;
CREATE UNIQUE INDEX odd16 ON much (lower(c), a) INCLUDE (b) NULLS NOT DISTINCT WHERE a > 0;
ALTER TABLE much CLUSTER ON odd12;
CREATE INDEX odd17 ON measure_1 (b, a);
SELECT soft.carried_out('soft2');
SELECT name, conforms FROM orm_ext.naming_audit('soft2') WHERE "table" IN ('much', 'far') ORDER BY name;
DROP SCHEMA soft2 CASCADE;
SET search_path = soft;
-- what the server does not rename in a typed table is no part of the plan
CREATE SCHEMA soft2;
CREATE TYPE soft2.pair AS (a int, b int);
CREATE TABLE soft2.typed OF soft2.pair (CONSTRAINT odd1 UNIQUE (a), CONSTRAINT odd2 CHECK (a > 0), CONSTRAINT odd3 FOREIGN KEY (b) REFERENCES account);
SELECT soft.carried_out('soft2');
DROP SCHEMA soft2 CASCADE;

-- from one convention to the other, and back, the names are those of before
CREATE SCHEMA soft2
	CREATE TABLE post (id int PRIMARY KEY, a int UNIQUE, b int CHECK (b > 0), c int REFERENCES post, CHECK (a > b), UNIQUE (a, b), EXCLUDE (b WITH =))
	CREATE INDEX ON post (b, c)
	CREATE INDEX ON post (abs(a), b)
	CREATE TABLE reporting_monthly_customer_subscription_renewal_summary_line (subscription_id int PRIMARY KEY CHECK (subscription_id > 0) REFERENCES post, UNIQUE (subscription_id) DEFERRABLE);
CREATE TABLE names_before AS SELECT * FROM compare.names('soft2');
INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES
	('soft2', 'pk', 'pk_%(table_name)s'), ('soft2', 'uq', 'uq_%(table_name)s_%(column_0_N_name)s'), ('soft2', 'ck', 'ck_%(table_name)s_%(constraint_name)s'),
	('soft2', 'fk', 'fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s'), ('soft2', 'ix', 'ix_%(column_0_N_label)s'), ('soft2', 'ex', 'ex_%(table_name)s_%(column_0_name)s');
CALL orm_ext.apply_naming('soft2', false);
SELECT "table", name, definition FROM compare.names('soft2') ORDER BY "table", name;
DELETE FROM orm_ext.naming_template;
CALL orm_ext.apply_naming('soft2', false);
SELECT b.name AS before, n.name AS after FROM names_before AS b JOIN compare.names('soft2') AS n USING (object) WHERE b.name <> n.name ORDER BY 1;
SELECT count(*) FROM orm_ext.naming_plan('soft2');
DROP TABLE names_before;
DROP SCHEMA soft2 CASCADE;

--
-- apply_naming(): shows, or does
--
SELECT count(*) AS before FROM orm_ext.naming_violations WHERE schema = 'soft' \gset
SET client_min_messages = notice;
CALL orm_ext.apply_naming('soft');
CALL orm_ext.apply_naming('soft', dry_run => NULL);
SET client_min_messages = warning;
SELECT count(*) = :before FROM orm_ext.naming_violations WHERE schema = 'soft';
CALL orm_ext.apply_naming('nope', false);
-- inside a transaction, which may still be undone
BEGIN;
CALL orm_ext.apply_naming('soft', false);
SELECT count(*) FROM orm_ext.naming_violations WHERE schema = 'soft';
SELECT name FROM compare.names('soft') ORDER BY name;
ROLLBACK;
SELECT count(*) = :before FROM orm_ext.naming_violations WHERE schema = 'soft';
DO $$ BEGIN CALL orm_ext.apply_naming('soft', false); RAISE EXCEPTION 'undo'; EXCEPTION WHEN raise_exception THEN NULL; END $$;
SELECT count(*) = :before FROM orm_ext.naming_violations WHERE schema = 'soft';
-- by those who own the tables; what has been done before the first other one stays
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_stranger;
GRANT USAGE, CREATE ON SCHEMA soft TO regress_orm_owner, regress_orm_stranger;
ALTER TABLE "Odd.Table" OWNER TO regress_orm_owner;
SET ROLE regress_orm_stranger;
SELECT count(*) FROM orm_ext.naming_plan('soft');
CALL orm_ext.apply_naming('soft');
CALL orm_ext.apply_naming('soft', false);
SELECT orm_ext.naming_baseline('soft');
RESET ROLE;
SELECT count(*) = :before FROM orm_ext.naming_violations WHERE schema = 'soft';
SET ROLE regress_orm_owner;
CALL orm_ext.apply_naming('soft', false);
RESET ROLE;
SELECT "table", count(*) FROM orm_ext.naming_violations WHERE schema = 'soft' GROUP BY "table" ORDER BY "table";
SET ROLE regress_orm_owner;
BEGIN;
CALL orm_ext.apply_naming('soft', false);
ROLLBACK;
RESET ROLE;
-- each in a transaction of its own
CALL orm_ext.apply_naming('soft', false);
SELECT count(*) FROM orm_ext.naming_violations WHERE schema = 'soft';
SELECT "table", name, definition FROM compare.names('soft') ORDER BY "table", name;
SELECT count(DISTINCT xmin::text), count(*) FROM (SELECT xmin FROM pg_constraint WHERE connamespace = 'soft'::regnamespace AND conname IN ('post_account_id_fkey', 'post_sane_check', 'Odd.Table_c_fkey')) AS c;
CALL orm_ext.apply_naming('soft', false);

--
-- A baseline: today's names are exempt, those to come are not
--
CREATE TABLE old (a int CONSTRAINT odd1 UNIQUE, b int CONSTRAINT odd2 CHECK (b > 0), c int CONSTRAINT "Odd.3" UNIQUE);
CREATE INDEX odd4 ON old (a);
SELECT orm_ext.naming_baseline('nope');
SELECT orm_ext.naming_baseline('soft');
SELECT * FROM orm_ext.naming_exemption ORDER BY object;
SELECT count(*) FROM orm_ext.naming_violations WHERE schema = 'soft';
SELECT name, conforms, exempt FROM orm_ext.naming_audit('soft') WHERE "table" = 'old';
SELECT count(*) FROM orm_ext.naming_plan('soft');
SET orm_ext.naming_check = error;
CREATE INDEX odd5 ON old (b);
ALTER INDEX odd4 RENAME TO odd6;
DROP INDEX odd4;
CREATE INDEX odd4 ON old (b, a);
SET orm_ext.naming_check = off;
CREATE INDEX odd5 ON old (b);
SELECT name FROM orm_ext.naming_violations WHERE schema = 'soft';
-- once more: what is new
SELECT orm_ext.naming_baseline('soft', 'later', '2100-01-01 00:00:00Z');
SELECT object, reason, until AT TIME ZONE 'UTC' FROM orm_ext.naming_exemption ORDER BY object;
SELECT orm_ext.naming_baseline('soft');
-- past its time, a name counts again
UPDATE orm_ext.naming_exemption SET until = now() - interval '1 day' WHERE object IN ('soft.old.odd1', 'soft.old."Odd.3"');
SELECT name FROM orm_ext.naming_violations WHERE schema = 'soft' ORDER BY name;
SELECT orm_ext.naming_baseline('soft', 'once more');
SELECT object, reason, until FROM orm_ext.naming_exemption WHERE object ~ 'odd1|Odd' ORDER BY object;
DELETE FROM orm_ext.naming_exemption;
INSERT INTO orm_ext.naming_exemption (pattern, reason) VALUES ('^soft[.]old[.]odd\d$', 'digits');
SELECT name FROM orm_ext.naming_violations WHERE schema = 'soft' ORDER BY name;
CALL orm_ext.apply_naming('soft', false);
SELECT name FROM compare.names('soft') WHERE "table" = 'old' ORDER BY name;
SELECT orm_ext.naming_baseline();
SELECT count(*) FROM orm_ext.naming_violations;
DELETE FROM orm_ext.naming_exemption;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP FOREIGN DATA WRAPPER regress_orm_wrapper CASCADE;
DROP ROLE regress_orm_owner, regress_orm_stranger;
