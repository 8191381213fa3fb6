--
-- Naming asks for no rights of its own and gives none: what a user may do, and
-- what he is told when he may not, is as it was.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CREATE ROLE regress_orm_user;
CREATE ROLE regress_orm_nobody;
CREATE ROLE regress_orm_owner;
GRANT USAGE, CREATE ON SCHEMA soft, twin TO regress_orm_user, regress_orm_owner;
GRANT USAGE ON SCHEMA soft, twin TO regress_orm_nobody;
\pset format unaligned
\pset tuples_only on
SET orm_ext.naming_check = off;
CALL compare.name_in_both($$
	CREATE TABLE account (id int PRIMARY KEY, code text UNIQUE);
	CREATE TABLE post (id int, a int, b int, title text);
	CREATE TABLE own (id int PRIMARY KEY, a int, b int CHECK (b > 0));
	CREATE INDEX own_b_idx ON own (b);
	ALTER TABLE own OWNER TO regress_orm_user;
	CREATE MATERIALIZED VIEW seen AS SELECT 1 AS a;
$$);

-- the tables of the extension are read by the extension alone, as far as names go
SELECT has_table_privilege('regress_orm_nobody', t, 'SELECT'), has_table_privilege('regress_orm_nobody', t, 'INSERT'), has_table_privilege('regress_orm_nobody', t, 'UPDATE'),
	has_table_privilege('regress_orm_nobody', t, 'DELETE'), has_table_privilege('regress_orm_nobody', t, 'TRUNCATE'), has_table_privilege('regress_orm_nobody', t, 'TRIGGER')
FROM unnest('{orm_ext.naming_template,orm_ext.naming_exemption,orm_ext.naming_violations}'::text[]) AS t;
SET ROLE regress_orm_nobody;
SELECT orm_ext.use_naming('none');
INSERT INTO orm_ext.naming_exemption (pattern, reason) VALUES ('.', 'x');
SELECT count(*) FROM orm_ext.naming_template;
SELECT count(*) FROM orm_ext.naming_exemption;
SELECT count(*) >= 0 FROM orm_ext.naming_violations;
SELECT count(*) > 0 FROM orm_ext.naming_audit('soft');
SELECT count(*) FROM orm_ext.naming_plan('soft');
SELECT orm_ext.expected_name('uq', 'soft.post', '{a}');
SELECT count(*) FROM orm_ext.naming_preset('none');
SELECT orm_ext.naming_baseline();
RESET ROLE;
-- even without any
REVOKE ALL ON orm_ext.naming_template, orm_ext.naming_exemption FROM PUBLIC;
REVOKE ALL ON SCHEMA orm_ext FROM PUBLIC;
SELECT compare.naming('CREATE TABLE t (id int, a int, PRIMARY KEY (id, a), UNIQUE (a, id), CHECK (a > 0)); CREATE INDEX ON t (a, id)', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE own ADD UNIQUE (a, b), ADD COLUMN c int UNIQUE', 'regress_orm_user');
SET ROLE regress_orm_user;
SET orm_ext.naming_check = error;
CREATE INDEX wrong ON soft.own (a);
SET orm_ext.naming_check = off;
RESET ROLE;
GRANT USAGE ON SCHEMA orm_ext TO PUBLIC;
GRANT SELECT ON orm_ext.naming_template, orm_ext.naming_exemption TO PUBLIC;

--
-- What may not be done
--
SELECT compare.naming('CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE)', 'regress_orm_nobody');
SELECT compare.naming('CREATE TABLE here.t (a int CHECK (a > 0))', 'regress_orm_nobody');
SELECT compare.naming('CREATE TABLE orm_ext.t (a int UNIQUE)', 'regress_orm_nobody');
SELECT compare.naming('CREATE TABLE pg_catalog.t (a int UNIQUE)', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE post ADD UNIQUE (a)', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE post ADD CHECK (a > 0)', 'regress_orm_nobody');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE IF EXISTS post ADD UNIQUE (nope)', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE here.post ADD UNIQUE (a)', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE own ADD FOREIGN KEY (a) REFERENCES account', 'regress_orm_user');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account)', 'regress_orm_user');
SELECT compare.naming('CREATE TABLE t (a text REFERENCES account (code))', 'regress_orm_user');
SELECT compare.naming('CREATE INDEX ON post (a)', 'regress_orm_user');
SELECT compare.naming('CREATE INDEX ON here.post (a)', 'regress_orm_nobody');
SELECT compare.naming('CREATE INDEX ON seen (a)', 'regress_orm_user');
SELECT compare.naming('CREATE INDEX ON own (a)', 'regress_orm_nobody');
SELECT compare.naming('CREATE TABLE t (LIKE post INCLUDING ALL, UNIQUE (a))', 'regress_orm_user');
SELECT compare.naming('CREATE TABLE t (UNIQUE (a)) INHERITS (post)', 'regress_orm_user');
SELECT compare.naming('ALTER INDEX own_b_idx RENAME TO own_b_idx1', 'regress_orm_nobody');
SELECT compare.naming('ALTER TABLE own RENAME CONSTRAINT own_b_check TO x', 'regress_orm_nobody');
SELECT compare.naming('ALTER TABLE own RENAME TO x', 'regress_orm_nobody');
SELECT compare.naming('ALTER TABLE own RENAME COLUMN a TO x', 'regress_orm_nobody');
SELECT compare.naming('ALTER TABLE post RENAME COLUMN nope TO x', 'regress_orm_nobody');
SELECT compare.naming('REVOKE CREATE ON SCHEMA here FROM regress_orm_user; SET LOCAL role = regress_orm_user; ALTER TABLE own ADD UNIQUE (a)');
SELECT compare.naming('REVOKE USAGE ON SCHEMA soft, twin FROM regress_orm_nobody; SET LOCAL role = regress_orm_nobody; CREATE TABLE here.t (a int UNIQUE)');
SELECT compare.naming('REVOKE USAGE ON SCHEMA soft, twin FROM regress_orm_nobody; SET LOCAL role = regress_orm_nobody; CREATE INDEX ON here.post (a)');
SELECT compare.naming('REVOKE USAGE ON SCHEMA soft, twin FROM regress_orm_nobody; SET LOCAL role = regress_orm_nobody; CREATE INDEX ON post (a)');
SELECT compare.naming('REVOKE USAGE ON SCHEMA soft, twin FROM regress_orm_nobody; SET LOCAL role = regress_orm_nobody; ALTER TABLE here.nope ADD UNIQUE (a)');
SELECT compare.naming('SET LOCAL transaction_read_only = on; CREATE TABLE t (a int UNIQUE)');
-- that comes first, then explicit names are judged
SET orm_ext.naming_check = error;
SELECT compare.naming('CREATE INDEX wrong ON post (a)', 'regress_orm_user');
SELECT compare.naming('ALTER TABLE post ADD CONSTRAINT wrong UNIQUE (a)', 'regress_orm_user');
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT wrong UNIQUE)', 'regress_orm_nobody');
SELECT compare.naming('ALTER TABLE own RENAME CONSTRAINT own_b_check TO wrong', 'regress_orm_nobody');
SELECT compare.naming('ALTER INDEX own_b_idx RENAME TO wrong', 'regress_orm_nobody');
SET orm_ext.naming_check = off;

--
-- Where the cursor stands: first with names by the convention, then without
--
SET search_path = soft;
SET ROLE regress_orm_user;
CREATE TABLE t (a int, UNIQUE (nope));
CREATE TABLE t (a int, CHECK (nope > 0), UNIQUE (a));
CREATE TABLE t (a int UNIQUE, b nope);
CREATE TABLE nope.t (a int UNIQUE);
CREATE TABLE t (a int UNIQUE, FOREIGN KEY (nope) REFERENCES account);
CREATE TABLE t (a int UNIQUE) INHERITS (nope);
CREATE TABLE t (a int UNIQUE, LIKE nope);
ALTER TABLE own ADD UNIQUE (a), ADD CHECK (nope > 0);
ALTER TABLE nope ADD UNIQUE (a);
ALTER TABLE own ADD COLUMN c nope UNIQUE;
CREATE INDEX ON own ((nope + 1));
CREATE INDEX ON own (nope);
CREATE INDEX ON own (a nope);
CREATE INDEX ON own (a) WHERE nope;
CREATE INDEX ON nope.own (a);
CREATE INDEX ON own USING nope (a);
SET orm_ext.naming_fill = off;
CREATE TABLE t (a int, UNIQUE (nope));
CREATE TABLE t (a int, CHECK (nope > 0), UNIQUE (a));
CREATE TABLE t (a int UNIQUE, b nope);
CREATE TABLE nope.t (a int UNIQUE);
CREATE TABLE t (a int UNIQUE, FOREIGN KEY (nope) REFERENCES account);
CREATE TABLE t (a int UNIQUE) INHERITS (nope);
CREATE TABLE t (a int UNIQUE, LIKE nope);
ALTER TABLE own ADD UNIQUE (a), ADD CHECK (nope > 0);
ALTER TABLE nope ADD UNIQUE (a);
ALTER TABLE own ADD COLUMN c nope UNIQUE;
CREATE INDEX ON own ((nope + 1));
CREATE INDEX ON own (nope);
CREATE INDEX ON own (a nope);
CREATE INDEX ON own (a) WHERE nope;
CREATE INDEX ON nope.own (a);
CREATE INDEX ON own USING nope (a);
SET orm_ext.naming_fill = on;
RESET ROLE;
RESET search_path;

--
-- Search paths
--
SELECT compare.naming('SET LOCAL search_path = ''''; CREATE TABLE t (a int UNIQUE)');
SELECT compare.naming('SET LOCAL search_path = nope; CREATE TABLE t (a int UNIQUE, UNIQUE (a, a))');
SELECT compare.naming('SET LOCAL search_path = nope, "$user"; CREATE INDEX ON post (a)');
SELECT compare.naming('SET LOCAL search_path = ''''; CREATE INDEX ON post (a)');
SELECT compare.naming('SET LOCAL search_path = ''''; ALTER TABLE post ADD UNIQUE (a)');
SELECT compare.naming('SET LOCAL search_path = pg_catalog; CREATE TABLE t (a int UNIQUE)', 'regress_orm_user');
SELECT compare.naming('SET LOCAL search_path = pg_catalog; CREATE INDEX ON here.post (a, b)');
SELECT compare.naming('SET LOCAL search_path = information_schema; CREATE TABLE t (a int, b int, UNIQUE (a, b)); ALTER TABLE t SET SCHEMA here; DROP TABLE here.t');
-- a name found on the path is that of the table, also behind another schema's
SELECT compare.naming('CREATE SCHEMA regress_orm_first; SELECT set_config(''search_path'', ''nope, regress_orm_first, '' || current_schema, true); ALTER TABLE post ADD UNIQUE (a, b); CREATE INDEX ON post (b, a); CREATE TABLE t (a int UNIQUE); DROP SCHEMA regress_orm_first CASCADE');
SELECT compare.naming('CREATE SCHEMA regress_orm_first; SELECT set_config(''search_path'', ''regress_orm_first, '' || current_schema, true); CREATE TABLE account (id int PRIMARY KEY); CREATE TABLE here.t (a int REFERENCES account); DROP SCHEMA regress_orm_first CASCADE');
-- temporary tables stand before all others, and may be first on the path
SELECT compare.naming('CREATE TEMPORARY TABLE post (x int, y int); ALTER TABLE post ADD UNIQUE (x, y); CREATE INDEX ON post (x, y); CREATE INDEX ON here.post (a, b); DROP TABLE pg_temp.post');
SELECT compare.naming('SELECT set_config(''search_path'', ''pg_temp, '' || current_schema, true); CREATE TABLE t (a int, b int, UNIQUE (a, b)); CREATE INDEX ON post (a, b); DROP TABLE t');
SELECT compare.naming('SELECT set_config(''search_path'', current_schema || '', pg_temp'', true); CREATE TABLE t (a int, b int, UNIQUE (a, b)); CREATE TEMPORARY TABLE u (a int, b int, UNIQUE (a, b)); CREATE INDEX ON u (b, a); DROP TABLE u');
SELECT compare.naming('CREATE TEMPORARY TABLE account (id int PRIMARY KEY); CREATE TABLE t (a int REFERENCES account)');
SELECT compare.naming('CREATE TEMPORARY TABLE account (id int PRIMARY KEY); CREATE TABLE t (a int REFERENCES here.account, b int, UNIQUE (b, a)); DROP TABLE pg_temp.account');
-- what stands on the path does not bend the library
SELECT compare.naming($$
	CREATE SCHEMA regress_orm_evil;
	CREATE FUNCTION regress_orm_evil.regress_evil(name, name) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil''; END';
	CREATE OPERATOR regress_orm_evil.= (FUNCTION = regress_orm_evil.regress_evil, LEFTARG = name, RIGHTARG = name);
	CREATE TABLE regress_orm_evil.pg_class (oid oid);
	CREATE TABLE regress_orm_evil.naming_template (kind text);
	SELECT set_config('search_path', 'regress_orm_evil, pg_catalog, ' || current_schema, true);
	CREATE TABLE here.t (a int, b int, UNIQUE (a, b), CHECK (a > 0));
	CREATE INDEX ON here.t (b, a);
	SET LOCAL orm_ext.naming_follow = on;
	ALTER TABLE here.t RENAME TO u;
	ALTER TABLE here.u RENAME TO t;
	DROP SCHEMA regress_orm_evil CASCADE;
$$);

--
-- Functions with the rights of their owner, with a search path of their own
--
CREATE SCHEMA regress_orm_home AUTHORIZATION regress_orm_owner;
INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES ('regress_orm_home', 'uq', 'uq_%(table_name)s_%(column_0_N_name)s');
SET ROLE regress_orm_owner;
CREATE FUNCTION regress_orm_home.make(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = regress_orm_home, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE TABLE %I (a int, b int, UNIQUE (a, b), CHECK (b > 0))', name);
	EXECUTE format('CREATE INDEX ON %I (b, a)', name);
END
$$;
GRANT USAGE ON SCHEMA regress_orm_home TO regress_orm_nobody;
SET ROLE regress_orm_nobody;
SELECT regress_orm_home.make('one');
CREATE INDEX ON regress_orm_home.one (a);
SET search_path = '';
SELECT regress_orm_home.make('two');
RESET search_path;
RESET ROLE;
SELECT "table", name FROM compare.names('regress_orm_home') ORDER BY "table", name;
SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'regress_orm_home' ORDER BY tablename;
DELETE FROM orm_ext.naming_template;

-- a user renames what he owns, and only that; nobody gets rights by it
SET ROLE regress_orm_user;
SET search_path = soft;
SET orm_ext.naming_follow = on;
ALTER TABLE own RENAME TO mine;
ALTER TABLE mine RENAME TO own;
ALTER TABLE post RENAME TO mine;
SET orm_ext.naming_follow = off;
CALL orm_ext.apply_naming('soft', false);
RESET ROLE;
SELECT name FROM compare.names('soft') WHERE "table" = 'own' ORDER BY name;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft, twin, regress_orm_home CASCADE;
DROP ROLE regress_orm_user, regress_orm_nobody, regress_orm_owner;
TRUNCATE compare.asked;
