--
-- lint(): what it returns, to whom, what it leaves out, and how rules are set.
--
CREATE SCHEMA shop;
SET search_path = shop;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
-- to plan lint() without caches takes minutes
SET debug_discard_caches = 0;

--
-- The rules, as they are at first
--
SELECT rule, severity, category, enabled, description FROM orm_ext.lint_rule ORDER BY category COLLATE "C", rule COLLATE "C";
SELECT count(*) FROM orm_ext.lint('shop');
-- each has its definition told with the view that finds it
SELECT d.definition FROM (SELECT DISTINCT definition FROM orm_ext.lint_rule) AS d
WHERE obj_description(d.definition, 'pg_class') !~ '^Rule' OR obj_description(d.definition, 'pg_class') IS NULL;

--
-- One finding of each severity: columns, order, addresses, keys
--
CREATE TABLE parent (id bigint PRIMARY KEY, email text UNIQUE, deleted_at timestamptz);
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent_id bigint REFERENCES parent, at_work timestamp, seen_at timestamp);
CREATE TRIGGER soft_delete BEFORE DELETE ON parent FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
ALTER TABLE child DISABLE TRIGGER ALL;
SELECT rule, severity, category, object, pg_describe_object(classid, objid, objsubid), fix IS NOT NULL AS fixed, key FROM orm_ext.lint('shop');
SELECT count(*) = count(DISTINCT key) FROM orm_ext.lint();
-- keys and what they name stay the same when everything is made anew
CREATE TABLE keys AS SELECT key FROM orm_ext.lint('shop') WHERE object !~ 'keys';
DROP TABLE child;
CREATE TABLE child (other int, parent_id bigint REFERENCES parent, seen_at timestamp, at_work timestamp, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT key FROM keys EXCEPT SELECT key FROM orm_ext.lint('shop');
SELECT key FROM orm_ext.lint('shop') WHERE object !~ 'keys' EXCEPT SELECT key FROM keys;
DROP TABLE keys;

--
-- The argument
--
SELECT * FROM orm_ext.lint('no such schema');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM orm_ext.lint('pg_catalog');
SELECT count(*) FROM orm_ext.lint('orm_ext');
CREATE SCHEMA "Empty % one";
SELECT rule, object FROM orm_ext.lint('Empty % one');
SELECT count(*) FROM orm_ext.lint('empty % one');
DROP SCHEMA "Empty % one";
SELECT (SELECT count(*) FROM orm_ext.lint()) = sum(n) FROM pg_namespace,
	LATERAL (SELECT count(*) FROM orm_ext.lint(nspname)) AS f (n) WHERE nspname !~ '^pg_temp';

--
-- Settings: what is changed is kept, and no more
--
UPDATE orm_ext.lint_rule SET enabled = false WHERE rule = 'fk_without_index';
UPDATE orm_ext.lint_rule SET severity = 'error' WHERE rule = 'timestamp_without_tz';
SELECT * FROM orm_ext.lint_setting ORDER BY rule COLLATE "C";
SELECT rule, severity, enabled FROM orm_ext.lint_rule WHERE rule IN ('fk_without_index', 'timestamp_without_tz') ORDER BY rule COLLATE "C";
SELECT severity, rule, object FROM orm_ext.lint('shop') WHERE rule IN ('fk_without_index', 'timestamp_without_tz');
UPDATE orm_ext.lint_rule SET severity = 'fatal' WHERE rule = 'timestamp_without_tz';
UPDATE orm_ext.lint_rule SET category = 'other';
UPDATE orm_ext.lint_rule SET enabled = true WHERE rule = 'no_such_rule';
\echo :ROW_COUNT
-- all at once: nothing is run then
BEGIN;
UPDATE orm_ext.lint_rule SET enabled = false;
SELECT count(*) FROM orm_ext.lint();
ROLLBACK;
DELETE FROM orm_ext.lint_setting;

--
-- Exemptions
--
SELECT key FROM orm_ext.lint('shop') WHERE rule IN ('int_pk', 'timestamp_without_tz', 'naming.suffix_type');
INSERT INTO orm_ext.lint_exemption (rule, object, reason) VALUES ('timestamp_without_tz', 'shop.child.at_work', 'local time');
INSERT INTO orm_ext.lint_exemption (rule, object, reason) VALUES ('*', 'shop.child.id', 'few rows');
SELECT key FROM orm_ext.lint('shop') WHERE rule IN ('int_pk', 'timestamp_without_tz', 'naming.suffix_type');
INSERT INTO orm_ext.lint_exemption (rule, pattern, reason) VALUES ('timestamp_without_tz', '^shop[.].*_at$', 'old'), ('*', '\.at_', 'old');
SELECT key FROM orm_ext.lint('shop') WHERE rule IN ('int_pk', 'timestamp_without_tz', 'naming.suffix_type');
-- they expire
UPDATE orm_ext.lint_exemption SET until = now() - interval '1 second' WHERE rule = '*';
SELECT key FROM orm_ext.lint('shop') WHERE rule IN ('int_pk', 'timestamp_without_tz', 'naming.suffix_type');
UPDATE orm_ext.lint_exemption SET until = now() + interval '1 hour';
SELECT key FROM orm_ext.lint('shop') WHERE rule IN ('int_pk', 'timestamp_without_tz', 'naming.suffix_type');
-- what is wrong is refused
INSERT INTO orm_ext.lint_exemption (rule, reason) VALUES ('*', 'neither');
INSERT INTO orm_ext.lint_exemption (rule, object, pattern, reason) VALUES ('*', 'a', 'b', 'both');
INSERT INTO orm_ext.lint_exemption (rule, pattern, reason) VALUES ('*', '(', 'no expression');
INSERT INTO orm_ext.lint_exemption (rule, object) VALUES ('*', 'a');
DELETE FROM orm_ext.lint_exemption;

--
-- The baseline: what there is today is known, what comes is not
--
SELECT orm_ext.lint_baseline('shop', 'before the move', '2999-01-01') = count(*) FROM orm_ext.lint('shop');
SELECT count(*) > 0, array_agg(DISTINCT reason), bool_and(until = '2999-01-01'), bool_and(pattern IS NULL) FROM orm_ext.lint_exemption;
SELECT count(*) FROM orm_ext.lint('shop');
SELECT orm_ext.lint_baseline('shop');
CREATE TABLE newcomer (a int);
SELECT key FROM orm_ext.lint('shop');
SELECT orm_ext.lint_baseline('no such schema');
DELETE FROM orm_ext.lint_exemption;

--
-- Left out: extensions, temporary tables, partitions, what is dropped; nothing is asked that a catalog does not tell
--
CREATE SCHEMA odd;
CREATE TABLE odd."%s %I.""""" ("a""b." int, gone timestamp, PRIMARY KEY ("a""b."));
ALTER TABLE odd."%s %I.""""" DROP COLUMN gone;
CREATE TABLE odd.empty ();
CREATE TYPE odd.composite AS (a timestamp);
CREATE TABLE odd.typed OF odd.composite;
CREATE TABLE odd.parted (a int, b timestamp) PARTITION BY LIST (a);
CREATE TABLE odd.parted_1 PARTITION OF odd.parted FOR VALUES IN (1);
CREATE UNLOGGED TABLE odd.unlogged (id bigint PRIMARY KEY);
CREATE TEMP TABLE temporary_one (a timestamp);
CREATE VIEW odd.a_view AS SELECT NULL::timestamp AS at_work;
CREATE TABLE odd.own (a timestamp);
ALTER EXTENSION orm_ext ADD TABLE odd.own;
SELECT rule, object FROM orm_ext.lint('odd');
SELECT count(*) FROM orm_ext.lint() WHERE object ~ 'temporary_one|odd.own|orm_ext';
ALTER EXTENSION orm_ext ADD SCHEMA odd;
SELECT count(*) FROM orm_ext.lint('odd');
ALTER EXTENSION orm_ext DROP SCHEMA odd;
ALTER EXTENSION orm_ext DROP TABLE odd.own;
DROP SCHEMA odd CASCADE;

--
-- Any role sees the same, but for sequences that it may not read
--
CREATE SEQUENCE spent AS smallint;
SELECT setval('spent', 32000);
SELECT count(*) AS of_owner FROM orm_ext.lint('shop') \gset
CREATE ROLE regress_lint_reader;
SET ROLE regress_lint_reader;
SELECT count(*) = :of_owner - 1, count(*) FILTER (WHERE rule = 'sequence_overflow') FROM orm_ext.lint('shop');
SELECT count(*) > 0 FROM orm_ext.lint_rule;
UPDATE orm_ext.lint_rule SET enabled = false;
INSERT INTO orm_ext.lint_exemption (rule, object, reason) VALUES ('*', 'shop.child', 'mine');
SELECT orm_ext.lint_baseline('shop');
RESET ROLE;
-- who is to change settings needs no more than this
GRANT UPDATE ON orm_ext.lint_rule TO regress_lint_reader;
GRANT INSERT, UPDATE ON orm_ext.lint_setting TO regress_lint_reader;
GRANT INSERT ON orm_ext.lint_exemption TO regress_lint_reader;
SET ROLE regress_lint_reader;
UPDATE orm_ext.lint_rule SET enabled = false WHERE rule = 'int_pk';
SELECT orm_ext.lint_baseline('shop') = :of_owner - 2;
RESET ROLE;
SELECT key FROM orm_ext.lint('shop');
DROP OWNED BY regress_lint_reader;
DROP ROLE regress_lint_reader;

-- the path and the operators of the caller do not matter
CREATE FUNCTION shop.shout(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE OPERATOR shop.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = shop.shout);
SET search_path = shop, pg_catalog;
SELECT count(*) >= 0 FROM orm_ext.lint('shop');

DELETE FROM orm_ext.lint_exemption;
DELETE FROM orm_ext.lint_setting;
DROP SCHEMA shop CASCADE;
