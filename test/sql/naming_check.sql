--
-- Explicit names that do not follow the convention: orm_ext.naming_check.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE account (id int PRIMARY KEY, code text);
CREATE TABLE post (id int, a int, b int, title text, span int4range);

--
-- A warning, an error or nothing
--
SELECT boot_val FROM pg_settings WHERE name = 'orm_ext.naming_check';
SET orm_ext.naming_check = warn;
CREATE TABLE t (a int CONSTRAINT wrong UNIQUE);
SELECT name FROM compare.names('soft') WHERE "table" = 't';
CREATE INDEX CONCURRENTLY wrong_too ON t (a);
DROP TABLE t;
SET orm_ext.naming_check = off;
CREATE TABLE t (a int CONSTRAINT wrong UNIQUE);
DROP TABLE t;
SET orm_ext.naming_check = error;
CREATE TABLE t (a int CONSTRAINT wrong UNIQUE);
CREATE TABLE t (a int CONSTRAINT t_a_key UNIQUE);
CREATE INDEX CONCURRENTLY wrong_too ON t (a);
CREATE INDEX CONCURRENTLY t_a_idx ON t (a);
DROP TABLE t;
SET orm_ext.naming_check = nope;
SET orm_ext.naming_check = warn;
-- one for each
CREATE TABLE t (a int CONSTRAINT x1 PRIMARY KEY CONSTRAINT x2 CHECK (a > 0) CONSTRAINT x3 REFERENCES account, b int CONSTRAINT x4 UNIQUE, CONSTRAINT x5 EXCLUDE (b WITH =), CONSTRAINT t_b_key1 UNIQUE (b, a));
ALTER TABLE t ADD CONSTRAINT y1 CHECK (a > b), ADD COLUMN c int CONSTRAINT y2 UNIQUE, ADD CONSTRAINT y3 FOREIGN KEY (b) REFERENCES account NOT VALID;
DROP TABLE t;
-- an error leaves nothing behind, neither in the database nor in the names to come
SET orm_ext.naming_check = error;
BEGIN;
CREATE TABLE t (a int, b int);
SAVEPOINT s;
ALTER TABLE t ADD UNIQUE (a), ADD CHECK (a > 0), ADD CONSTRAINT wrong UNIQUE (b), ADD COLUMN c int UNIQUE;
ROLLBACK TO s;
SELECT count(*) FROM compare.names('soft') WHERE "table" = 't';
ALTER TABLE t ADD UNIQUE (a), ADD CHECK (a > 0), ADD UNIQUE (b), ADD COLUMN c int UNIQUE;
SELECT name FROM compare.names('soft') WHERE "table" = 't' ORDER BY name;
COMMIT;
DROP TABLE t;

--
-- Every kind.  What the hint expects is taken, is the name that one without a
-- name gets, and what it says of exemptions can be run and helps.  Only the
-- statement itself discards caches, where the server is set to.
--
CREATE VIEW names AS
	SELECT oid, relname AS name FROM pg_class WHERE relkind IN ('i', 'I') UNION ALL SELECT oid, conname FROM pg_constraint WHERE conindid = 0 OR contype = 'f';
CREATE FUNCTION judged(statement text, given text DEFAULT 'wrong', discard text DEFAULT current_setting('debug_discard_caches')) RETURNS SETOF text
LANGUAGE plpgsql SET orm_ext.naming_check = error SET client_min_messages = error SET debug_discard_caches = 0 AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
	expected text;
	command text;
	unnamed text := regexp_replace(replace(statement, format('CONSTRAINT %I ', given), ''), format('INDEX (IF NOT EXISTS )?%I ON', given), 'INDEX ON');
	old oid[] := ARRAY(SELECT oid FROM names);
	result text;
BEGIN
	BEGIN
		PERFORM set_config('debug_discard_caches', discard, true);
		EXECUTE statement;
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN
			RETURN NEXT 'passes';
			RETURN;
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			RETURN NEXT state || ' ' || message || coalesce('; ' || nullif(detail, ''), '');
	END;
	IF state <> '42602' THEN
		RETURN;
	END IF;
	expected := substring(hint FROM '"(.*)"[.] To keep');
	command := substring(hint FROM 'INSERT.*;');
	result := '  expected: ' || coalesce(expected, 'NO NAME IN ' || hint);
	BEGIN
		EXECUTE replace(statement, quote_ident(given), quote_ident(expected));
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN
			result := result || ', passes';
		WHEN duplicate_table OR duplicate_object THEN
			result := result || ', which it has already';
		WHEN OTHERS THEN
			result := result || ', FAILS: ' || SQLERRM;
	END;
	IF unnamed <> statement THEN
		BEGIN
			EXECUTE unnamed;
			result := result || CASE WHEN EXISTS (SELECT FROM names WHERE oid <> ALL (old) AND name = expected)
				THEN ', given to one without a name'
				ELSE ', without a name: ' || coalesce((SELECT string_agg(name, ', ' ORDER BY name) FROM names WHERE oid <> ALL (old)), 'NONE') END;
			RAISE EXCEPTION SQLSTATE 'UNDO0';
		EXCEPTION
			WHEN SQLSTATE 'UNDO0' THEN NULL;
			WHEN OTHERS THEN
				result := result || ', without a name: ' || SQLERRM;
		END;
	END IF;
	BEGIN
		EXECUTE command;
		EXECUTE statement;
		result := result || ', exempt: ' || (SELECT string_agg(object, ', ') FROM orm_ext.naming_exemption);
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN NULL;
		WHEN OTHERS THEN
			result := result || ', BUT NOT EXEMPT: ' || SQLERRM;
	END;
	RETURN NEXT result;
END
$$;
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong PRIMARY KEY)');
SELECT judged('CREATE TABLE t (a int, b int, CONSTRAINT wrong PRIMARY KEY (a, b))');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong UNIQUE)');
SELECT judged('CREATE TABLE t (a int, b int, CONSTRAINT wrong UNIQUE (b, a))');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong REFERENCES account)');
SELECT judged('CREATE TABLE t (a int, CONSTRAINT wrong FOREIGN KEY (a) REFERENCES account)');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong CHECK (a > 0))');
SELECT judged('CREATE TABLE t (a int, b int, CONSTRAINT wrong CHECK (a > b))');
SELECT judged('CREATE TABLE t (a int, CONSTRAINT wrong EXCLUDE (a WITH =))');
SELECT judged('ALTER TABLE post ADD CONSTRAINT wrong PRIMARY KEY (id)');
SELECT judged('ALTER TABLE post ADD CONSTRAINT wrong UNIQUE (a, b)');
SELECT judged('ALTER TABLE post ADD CONSTRAINT wrong FOREIGN KEY (a) REFERENCES account NOT VALID');
SELECT judged('ALTER TABLE post ADD CONSTRAINT wrong CHECK (b > 0)');
SELECT judged('ALTER TABLE post ADD CONSTRAINT wrong EXCLUDE USING gist (span WITH &&)');
SELECT judged('ALTER TABLE post ADD COLUMN c int CONSTRAINT wrong UNIQUE');
SELECT judged('ALTER TABLE post ADD COLUMN c int CONSTRAINT wrong CHECK (c > 0)');
SELECT judged('CREATE INDEX wrong ON post (a)');
SELECT judged('CREATE INDEX wrong ON post (a, b) INCLUDE (title) WHERE b > 0');
SELECT judged('CREATE UNIQUE INDEX wrong ON post (a, b)');
SELECT judged('CREATE INDEX wrong ON post (lower(title), a)');
SELECT judged('CREATE INDEX wrong ON post ((a + b))');
SELECT judged('CREATE INDEX wrong ON post ((1))');
SELECT judged('CREATE INDEX IF NOT EXISTS wrong ON post (a)');
SELECT judged('CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE INDEX wrong ON m (a)');
-- the name expected is a free one
SELECT judged('ALTER TABLE post ADD UNIQUE (a), ADD UNIQUE (a); ALTER TABLE post ADD CONSTRAINT wrong UNIQUE (a)');
SELECT judged('CREATE TABLE post_a_idx (); CREATE INDEX wrong ON post (a)');
-- names with quotes, in what the hint says as well
SELECT judged('CREATE TABLE "It''s ""a"" T" ("A.b" int CONSTRAINT wrong UNIQUE)');
SELECT judged('CREATE TABLE "%s" ("%d" int CONSTRAINT wrong CHECK ("%d" > 0))');
SELECT judged('CREATE TABLE größe ("Ä" int CONSTRAINT wrong UNIQUE)');
SELECT judged('CREATE SCHEMA "Other.s"; CREATE TABLE "Other.s"."select" (a int CONSTRAINT "wrong" UNIQUE)');
-- in what else makes tables
SELECT judged('CREATE TABLE m (a int, b int, CONSTRAINT wrong UNIQUE (a, b)) PARTITION BY LIST (a)');
SELECT judged('CREATE TABLE m (a int) PARTITION BY LIST (a); CREATE TABLE m1 PARTITION OF m (CONSTRAINT wrong UNIQUE (a)) DEFAULT');
SELECT judged('CREATE TABLE m (a int) PARTITION BY LIST (a); CREATE INDEX wrong ON m (a)');
SELECT judged('CREATE TABLE c (CONSTRAINT wrong UNIQUE (a)) INHERITS (post)');
SELECT judged('CREATE TYPE pair AS (a int, b int); CREATE TABLE t OF pair (a WITH OPTIONS CONSTRAINT wrong UNIQUE)');
SELECT judged('CREATE TABLE t (LIKE post INCLUDING ALL, CONSTRAINT wrong UNIQUE (a))');
SELECT judged('CREATE SCHEMA s CREATE TABLE t (a int CONSTRAINT wrong UNIQUE)');
SELECT judged('DO $do$ BEGIN CREATE INDEX wrong ON post (a); END $do$');
SELECT judged('CREATE FUNCTION make() RETURNS void LANGUAGE sql AS ''CREATE INDEX wrong ON post (a)''; SELECT make()');
-- where the statement does nothing or fails, that is what happens
SET orm_ext.naming_check = off;
CREATE INDEX wrong ON post (a);
SET orm_ext.naming_check = warn;
CREATE INDEX wrong ON post (b);
CREATE INDEX IF NOT EXISTS wrong ON post (b);
CREATE TABLE IF NOT EXISTS post (a int CONSTRAINT wrong UNIQUE);
ALTER TABLE post ADD COLUMN IF NOT EXISTS a int CONSTRAINT wrong CHECK (a > 0);
ALTER TABLE IF EXISTS nope ADD CONSTRAINT wrong UNIQUE (a);
CREATE TABLE t (a int, CONSTRAINT odd UNIQUE (nope));
CREATE TABLE t (a int CONSTRAINT odd REFERENCES nope);
CREATE INDEX odd ON nope (a);
CREATE INDEX odd ON post (nope);
DROP INDEX wrong;

--
-- Which names follow the convention
--
CREATE FUNCTION passing(names text[], command text) RETURNS TABLE (passing text[], refused text[])
LANGUAGE sql AS $$
SELECT array_agg(name ORDER BY nth) FILTER (WHERE line = 'passes'), array_agg(name ORDER BY nth) FILTER (WHERE line ~ '^42602')
FROM unnest(names) WITH ORDINALITY AS n (name, nth), judged(format(command, name)) AS line
$$;
SELECT * FROM passing('{t_a_key,t_a_key1,t_a_key23,t_a_key100,t_a_b_key,t_a_key_1,t_a_key1x,T_a_key,t_A_key,t_a_ke,xt_a_key,t_a_keyx,t_a,"t_a_key ",key,t_a_idx,t_a_uniq,1,t_a_key0,t_a_key01}',
	'CREATE TABLE t (a int, b int, CONSTRAINT %I UNIQUE (a, b))');
-- a CHECK may have any name, in its frame
SELECT * FROM passing('{t_a_check,t_b_check,t_anything_check,t_anything_check7,t_x_y_check,t_%_check,t_check,t_check1,t___check,t__check,t_check_,check,t_a,a_check,T_a_check,x_t_a_check,t_a_chk,t_a_checks,t_check1x}',
	'CREATE TABLE t (a int, b int, CONSTRAINT %I CHECK (a > 0))');
-- a unique index may be called as a constraint would be, any other not
SELECT * FROM passing('{post_a_idx,post_a_idx2,post_a_key,post_a_key2,post_a_b_idx,post_a_b_key,post_pkey,post_a_excl}', 'CREATE UNIQUE INDEX %I ON post (a, b)');
SELECT * FROM passing('{post_a_idx,post_a_idx2,post_a_key,post_a_key2,post_a_b_idx,post_a_b_key,post_pkey,post_a_excl}', 'CREATE INDEX %I ON post (a, b)');
SELECT * FROM passing('{post_pkey,post_pkey1,post_id_key,post_id_pkey}', 'ALTER TABLE post ADD CONSTRAINT %I PRIMARY KEY (id)');
SELECT * FROM passing('{post_a_fkey,post_a_fkey1,post_account_fkey,post_a_key,post_b_fkey,post_a_b_fkey}', 'ALTER TABLE post ADD CONSTRAINT %I FOREIGN KEY (a) REFERENCES account');
SELECT * FROM passing('{post_a_excl,post_a_b_excl,post_a_b_excl1,post_a_b_key}', 'ALTER TABLE post ADD CONSTRAINT %I EXCLUDE (a WITH =, b WITH =)');
-- an over-long one may be shortened by either rule
CREATE TABLE reporting_monthly_customer_subscription_renewal_summary_line (subscription_id int);
SELECT * FROM passing('{reporting_monthly_customer_subscription_renewal_summary_cc6d,reporting_monthly_customer_subscription_renewal_summary_cc6d1,reporting_monthly_customer_subscription_renewal_summary_cc6e,reporting_monthly_customer_subscription_renewal_summary_fb13,
	reporting_monthly_customer_subscription_ren_subscription_id_key,reporting_monthly_customer_subscription_re_subscription_id_key1,reporting_monthly_customer_subscription_subscription_id_key,
	reporting_monthly_customer_subscription_renewal_summary_line_su}',
	'ALTER TABLE reporting_monthly_customer_subscription_renewal_summary_line ADD CONSTRAINT %I UNIQUE (subscription_id)');
SET orm_ext.naming_fill = off;
ALTER TABLE reporting_monthly_customer_subscription_renewal_summary_line ADD UNIQUE (subscription_id), ADD UNIQUE (subscription_id), ADD CHECK (subscription_id > 0), ADD PRIMARY KEY (subscription_id), ADD FOREIGN KEY (subscription_id) REFERENCES account;
CREATE INDEX ON reporting_monthly_customer_subscription_renewal_summary_line (subscription_id);
RESET orm_ext.naming_fill;
-- so all that PostgreSQL named will do
SELECT name, conforms FROM orm_ext.naming_audit('soft') WHERE "table" ~ '^reporting' ORDER BY name;
DROP TABLE reporting_monthly_customer_subscription_renewal_summary_line;
-- one that the server has cut is told to be so
CREATE TABLE t (a int CONSTRAINT t_that_is_very_long_and_for_that_reason_is_going_to_be_cut_by_the_server_key UNIQUE, b int);
ALTER TABLE t ADD CONSTRAINT xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx UNIQUE (b);
ALTER TABLE t ADD CONSTRAINT yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy UNIQUE (b);
ALTER TABLE t ADD CONSTRAINT "ääääääääääääääääääääääääääääääää" UNIQUE (b);
DROP TABLE t;
-- and so is one who asks for an index that is there, unless it is the same
SET orm_ext.naming_check = off;
CREATE INDEX IF NOT EXISTS post_index_with_a_name_that_is_so_long_that_it_is_going_to_be_cut_a ON post (a);
SET orm_ext.naming_check = warn;
CREATE INDEX IF NOT EXISTS post_index_with_a_name_that_is_so_long_that_it_is_going_to_be_cut_a ON post (a);
CREATE INDEX IF NOT EXISTS post_index_with_a_name_that_is_so_long_that_it_is_going_to_be_cut_b ON post (b);
CREATE INDEX IF NOT EXISTS post_index_with_a_name_that_is_so_long_that_it_is_going_to_be_cut_c ON account (code);
SET orm_ext.naming_check = off;
CREATE INDEX IF NOT EXISTS post_index_with_a_name_that_is_so_long_that_it_is_going_to_be_cut_b ON post (b);
SET orm_ext.naming_check = warn;
DROP INDEX post_index_with_a_name_that_is_so_long_that_it_is_going_to_be_c;

--
-- Under another convention
--
SELECT orm_ext.use_naming('all_columns');
SELECT judged('CREATE TABLE t (a int, b int, CONSTRAINT wrong UNIQUE (a, b))');
SELECT judged('CREATE TABLE t (a int, b int, CONSTRAINT t_a_key UNIQUE (a, b))', 't_a_key');
SELECT judged('CREATE INDEX post_a_b_idx ON post (a, b)');
SELECT orm_ext.use_naming('none');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong PRIMARY KEY CONSTRAINT wrong2 CHECK (a > 0) CONSTRAINT wrong3 REFERENCES account, b int CONSTRAINT wrong4 UNIQUE, CONSTRAINT wrong5 EXCLUDE (b WITH =))');
SELECT judged('CREATE INDEX wrong ON post (a)');
DELETE FROM orm_ext.naming_template;
INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES
	('soft', 'uq', 'uq_%(table_name)s_%(constraint_name)s'), ('soft', 'ck', 'ck_%(table_name)s_%(column_0_name)s'), ('soft', 'ix', NULL),
	('soft', 'fk', 'fk_%(table_name)s__%(referred_table_name)s_%(referred_column_0_name)s');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong UNIQUE)');
SELECT judged('CREATE TABLE t (a int CONSTRAINT uq_t_whatever UNIQUE)');
SELECT judged('CREATE TABLE t (a int CONSTRAINT uq_t_ UNIQUE)', 'uq_t_');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong CHECK (a > 0))');
SELECT judged('CREATE TABLE t (a int CONSTRAINT t_check CHECK (a > 0))', 't_check');
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong REFERENCES account)');
SELECT judged('CREATE TABLE t (id int PRIMARY KEY, a int CONSTRAINT wrong REFERENCES t)');
SELECT judged('CREATE TABLE t (a int, CONSTRAINT wrong FOREIGN KEY (a) REFERENCES account (id))');
SELECT judged('CREATE INDEX wrong ON post (a)');
SELECT judged('CREATE UNIQUE INDEX wrong ON post (a)');
SELECT judged('CREATE SCHEMA s; CREATE TABLE s.t (a int CONSTRAINT wrong UNIQUE, b int CONSTRAINT t_b_key UNIQUE)');
DELETE FROM orm_ext.naming_template;

--
-- Exemptions
--
CREATE FUNCTION exempt(object text, pattern text, until timestamptz DEFAULT 'infinity') RETURNS text
LANGUAGE sql AS $$
DELETE FROM orm_ext.naming_exemption;
INSERT INTO orm_ext.naming_exemption (object, pattern, reason, until) VALUES (object, pattern, 'a test', until);
SELECT judged('CREATE INDEX "Wrong.1" ON post (a)');
$$;
SELECT exempt('soft.post."Wrong.1"', NULL);
SELECT exempt('soft.post.Wrong.1', NULL) ~ '42602';
SELECT exempt('post."Wrong.1"', NULL) ~ '42602';
SELECT exempt('Wrong.1', NULL) ~ '42602';
SELECT exempt('other.post."Wrong.1"', NULL) ~ '42602';
SELECT exempt(NULL, '^soft\.post\."Wrong\.\d"$');
SELECT exempt(NULL, 'Wrong');
SELECT exempt(NULL, '^soft[.]');
SELECT exempt(NULL, '^Wrong') ~ '42602';
SELECT exempt(NULL, 'wrong') ~ '42602';
SELECT exempt(NULL, '(?i)wrong');
SELECT exempt('soft.post."Wrong.1"', NULL, now() + interval '1 hour');
SELECT exempt('soft.post."Wrong.1"', NULL, now() - interval '1 hour') ~ '42602';
SELECT exempt(NULL, 'Wrong', now() + interval '1 hour');
SELECT exempt(NULL, 'Wrong', now() - interval '1 hour') ~ '42602';
SELECT exempt(NULL, 'Wrong', '-infinity') ~ '42602';
DELETE FROM orm_ext.naming_exemption;
-- one that is of no use is refused
\set VERBOSITY sqlstate
INSERT INTO orm_ext.naming_exemption (reason) VALUES ('no object');
INSERT INTO orm_ext.naming_exemption (object, pattern, reason) VALUES ('a.b.c', 'x', 'both');
INSERT INTO orm_ext.naming_exemption (object) VALUES ('a.b.c');
INSERT INTO orm_ext.naming_exemption (object, reason, until) VALUES ('a.b.c', 'x', NULL);
INSERT INTO orm_ext.naming_exemption (pattern, reason) VALUES ('(', 'no regular expression');
\set VERBOSITY default
SELECT count(*) FROM orm_ext.naming_exemption;

--
-- Not judged: CHECKs that must have the name of another table's, and copies
--
CREATE TABLE source (a int, b int, CHECK (a > b), CONSTRAINT source_sane_check CHECK (a > 0), UNIQUE (a));
CREATE INDEX ON source (b);
SELECT judged('CREATE TABLE t (LIKE source INCLUDING ALL)');
SELECT judged('CREATE TABLE t (a int, b int, CONSTRAINT source_check CHECK (a > b), CONSTRAINT source_sane_check CHECK (a > 0)); ALTER TABLE t INHERIT source');
SELECT judged('CREATE TABLE m (a int, CHECK (a > 0)) PARTITION BY LIST (a); CREATE TABLE p (a int, CONSTRAINT m_a_check CHECK (a > 0)); ALTER TABLE m ATTACH PARTITION p DEFAULT');
SELECT judged('CREATE TABLE m (a int UNIQUE, CHECK (a > 0)) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF m DEFAULT; CREATE INDEX m_a_idx ON m (a); CREATE TABLE q PARTITION OF m FOR VALUES IN (1)');
SELECT judged('ALTER TABLE post ADD CONSTRAINT source_sane_check CHECK (a > 0)');
SELECT judged('CREATE TABLE t (b int CONSTRAINT source_b_key UNIQUE)', 'source_b_key');
-- what has another name may be used, copied and made anew
SET orm_ext.naming_check = off;
CREATE TABLE used (a int CONSTRAINT odd1 UNIQUE, b int CONSTRAINT odd2 CHECK (b > 0) CONSTRAINT odd3 REFERENCES account, c text, CONSTRAINT odd4 EXCLUDE (b WITH =));
CREATE INDEX odd5 ON used (a, c);
CREATE TABLE parted (a int CONSTRAINT odd6 PRIMARY KEY, b int CONSTRAINT odd7 CHECK (b > 0) CONSTRAINT odd8 REFERENCES account) PARTITION BY LIST (a);
CREATE INDEX odd9 ON parted (b);
SELECT judged('ALTER TABLE used ALTER COLUMN a TYPE bigint, ALTER COLUMN b TYPE bigint, ALTER COLUMN c TYPE varchar');
SELECT judged('CREATE TABLE t (LIKE used INCLUDING ALL)');
SELECT judged('CREATE TABLE t () INHERITS (used)');
SELECT judged('CREATE TABLE t (a int, b int, c text, CONSTRAINT odd2 CHECK (b > 0)); ALTER TABLE t INHERIT used');
SELECT judged('CREATE TABLE t PARTITION OF parted DEFAULT');
SELECT judged('CREATE TABLE t (LIKE parted INCLUDING ALL); ALTER TABLE parted ATTACH PARTITION t DEFAULT; ALTER TABLE parted ALTER COLUMN b TYPE bigint');
SELECT judged('ALTER TABLE used DROP CONSTRAINT odd2, VALIDATE CONSTRAINT odd3; ALTER INDEX odd5 SET (fillfactor = 70); REINDEX TABLE used; CLUSTER used USING odd5; ALTER TABLE used SET SCHEMA public');
SELECT judged('ALTER TABLE used RENAME TO used2; ALTER TABLE used2 RENAME a TO z');
SELECT judged('SELECT orm_ext.enable_soft_delete(''used'')');
DROP TABLE used, parted;
-- an index that becomes a constraint
SELECT judged('CREATE UNIQUE INDEX post_a_idx ON post (a); ALTER TABLE post ADD CONSTRAINT wrong UNIQUE USING INDEX post_a_idx');
-- what has a name of another kind
SELECT judged('CREATE TABLE t (a int CONSTRAINT wrong NOT NULL, b int CONSTRAINT wrong2 DEFAULT 1, c int CONSTRAINT wrong3 NULL)');
SELECT judged('CREATE DOMAIN d AS int CONSTRAINT wrong CHECK (VALUE > 0); ALTER DOMAIN d ADD CONSTRAINT wrong2 CHECK (VALUE < 9); ALTER DOMAIN d RENAME CONSTRAINT wrong2 TO wrong3');
SELECT judged('CREATE SEQUENCE wrong; CREATE TYPE wrong_t AS (a int); CREATE VIEW "Wrong" AS SELECT 1 AS a; ALTER TABLE post RENAME TO "Wrong table"');
SELECT judged('CREATE TABLE "Any Table" ("Any Column" int)');
SELECT judged('CREATE CONSTRAINT TRIGGER wrong AFTER INSERT ON post FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()');
-- temporary tables
SELECT judged('CREATE TEMPORARY TABLE t (a int CONSTRAINT wrong UNIQUE); CREATE INDEX wrong2 ON t (a); ALTER TABLE t ADD CONSTRAINT wrong3 CHECK (a > 0); ALTER INDEX wrong2 RENAME TO wrong4');
SELECT judged('CREATE TABLE pg_temp.t (a int CONSTRAINT wrong UNIQUE); SET LOCAL search_path = pg_temp; CREATE TABLE u (a int CONSTRAINT wrong2 UNIQUE)');
-- a dump that is being restored
SELECT judged('SET LOCAL row_security = off; SET LOCAL check_function_bodies = off; CREATE INDEX wrong ON post (a); ALTER TABLE post ADD CONSTRAINT wrong2 UNIQUE (a); ALTER INDEX wrong RENAME TO wrong3');
SELECT judged('SELECT set_config(''search_path'', '''', true); SET LOCAL check_function_bodies = off; CREATE INDEX wrong ON soft.post (a)');
SELECT left(judged('SET LOCAL row_security = off; CREATE INDEX wrong ON post (a)'), 5) LIMIT 1;
SELECT left(judged('SET LOCAL check_function_bodies = off; CREATE INDEX wrong ON post (a)'), 5) LIMIT 1;
-- without names being given, they are judged all the same
SELECT left(judged('SET LOCAL orm_ext.naming_fill = off; CREATE INDEX wrong ON post (a)'), 5) LIMIT 1;

--
-- New names of constraints and indexes
--
CREATE TABLE named (a int PRIMARY KEY, b int UNIQUE REFERENCES account, CHECK (b > 0), EXCLUDE (b WITH =));
CREATE INDEX ON named (b);
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_pkey TO wrong');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_b_key TO wrong');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_b_fkey TO wrong');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_b_check TO wrong');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_b_excl TO wrong');
SELECT judged('ALTER INDEX named_b_idx RENAME TO wrong');
SELECT judged('ALTER INDEX named_b_key RENAME TO wrong');
SELECT judged('ALTER INDEX named_pkey RENAME TO wrong');
SELECT judged('ALTER TABLE named_b_idx RENAME TO wrong');
SELECT judged('ALTER VIEW named_b_idx RENAME TO wrong');
SELECT judged('ALTER INDEX named_b_idx RENAME TO named_b_idx7');
SELECT judged('ALTER INDEX named_b_key RENAME TO named_b_key7');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_b_check TO named_other_check');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT named_b_fkey TO named_b_fkey7');
SELECT judged('ALTER INDEX IF EXISTS nope RENAME TO wrong');
SELECT judged('ALTER INDEX nope RENAME TO wrong');
SELECT judged('ALTER TABLE named RENAME CONSTRAINT nope TO wrong');
SELECT judged('ALTER TABLE nope RENAME CONSTRAINT nope TO wrong');
SELECT judged('CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE INDEX ON m (a); ALTER INDEX m_a_idx RENAME TO wrong');
SELECT judged('CREATE TABLE m (a int PRIMARY KEY) PARTITION BY LIST (a); ALTER INDEX m_pkey RENAME TO wrong');
ALTER INDEX named_b_idx RENAME TO odd;
ALTER TABLE named RENAME CONSTRAINT named_b_key TO odd_too;
ALTER INDEX odd RENAME TO named_b_idx;
ALTER INDEX odd_too RENAME TO named_b_key;
-- an index of a partition may be called anything, since the server named it
CREATE TABLE measure (a int PRIMARY KEY, b int, CHECK (b > 0)) PARTITION BY LIST (a);
CREATE INDEX ON measure (b);
CREATE TABLE measure_1 PARTITION OF measure FOR VALUES IN (1);
SELECT judged('ALTER INDEX measure_1_b_idx RENAME TO wrong');
SELECT judged('ALTER TABLE measure RENAME CONSTRAINT measure_b_check TO wrong');

--
-- Names that were given are taken again, as a dump or a model would give them
--
SET orm_ext.naming_check = error;
CREATE TABLE regress_all (a int PRIMARY KEY, b int UNIQUE REFERENCES account, c int UNIQUE DEFERRABLE, d text, CHECK (a > b), CHECK (b > 0), EXCLUDE (c WITH =), UNIQUE (b, c), UNIQUE (b, a), FOREIGN KEY (b) REFERENCES account ON DELETE CASCADE, "Größe" int CHECK ("Größe" > 0));
CREATE INDEX ON regress_all (a, b);
CREATE INDEX ON regress_all (a);
CREATE INDEX ON regress_all (lower(d), a);
CREATE INDEX ON regress_all ((d || a), b);
CREATE INDEX ON regress_all (("Größe" + a));
DO $$
DECLARE
	command text;
BEGIN
	FOREACH command IN ARRAY ARRAY(
		SELECT format('ALTER TABLE soft.regress_all DROP CONSTRAINT %I CASCADE, ADD CONSTRAINT %1$I %s', conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE conrelid = 'regress_all'::regclass AND contype <> 'n'
		UNION ALL
		SELECT format('DROP INDEX %s; ', indexrelid::regclass) || pg_get_indexdef(indexrelid)
		FROM pg_index WHERE indrelid = 'regress_all'::regclass AND indexrelid NOT IN (SELECT conindid FROM pg_constraint))
	LOOP
		EXECUTE command;
	END LOOP;
END
$$;
SELECT count(*), count(*) FILTER (WHERE conforms) FROM orm_ext.naming_audit('soft') WHERE "table" = 'regress_all';

RESET orm_ext.naming_check;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
