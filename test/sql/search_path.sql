--
-- search_path: nothing that the library writes takes an operator, a function or
-- a type from the caller's schemas, in particular not where it runs with the
-- rights of a table's owner.  Each look-alike raises an error.
--
CREATE SCHEMA hostile;
CREATE SCHEMA soft;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;

DO $$
DECLARE
	o record;
BEGIN
	FOR o IN
		SELECT p.oid, p.oprname, l.oid::regtype AS l, r.oid::regtype AS r, p.oprresult::regtype AS result
		FROM pg_operator AS p JOIN pg_type AS l ON l.oid = p.oprleft JOIN pg_type AS r ON r.oid = p.oprright
		WHERE p.oprnamespace = 'pg_catalog'::regnamespace AND l.typtype <> 'p' AND r.typtype <> 'p'
			AND p.oprname IN ('=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/', '||', '->', '->>', '#>>', '~', '@>', '?')
	LOOP
		EXECUTE format('CREATE FUNCTION hostile.o%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN RAISE EXCEPTION %L; END$f$',
			o.oid, o.l, o.r, o.result, format('hostile operator %s of %s and %s', o.oprname, o.l, o.r));
		EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.o%s)', o.oprname, o.l, o.r, o.oid);
	END LOOP;
	FOR o IN
		SELECT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
		FROM pg_proc AS p
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
			AND p.proname IN ('now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'unnest', 'lower', 'length',
				'quote_ident', 'quote_literal', 'jsonb_each', 'jsonb_each_text', 'jsonb_array_elements', 'to_jsonb', 'date_part',
				'nextval', 'currval', 'concat_ws', 'array_append', 'pg_has_role', 'has_table_privilege', 'current_setting',
				'set_config', 'generate_series', 'row_number', 'txid_current', 'pg_current_xact_id', 'date_trunc')
			AND p.provariadic = 0
	LOOP
		EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN RAISE EXCEPTION %L; END$f$',
			o.proname, o.arguments, o.result, format('hostile function %s(%s)', o.proname, o.arguments));
	END LOOP;
	FOR o IN
		SELECT t.typname FROM pg_type AS t
		WHERE t.typnamespace = 'pg_catalog'::regnamespace
			AND t.typname IN ('bool', 'int2', 'int4', 'int8', 'text', 'name', 'oid', 'tid', 'xid', 'jsonb', 'json', 'date', 'timestamp',
				'timestamptz', 'interval', 'regclass', 'regtype', 'numeric', 'float8', 'uuid')
	LOOP
		EXECUTE format('CREATE DOMAIN hostile.%I AS pg_catalog.%I CHECK (false)', o.typname, o.typname);
	END LOOP;
END
$$;

CREATE TABLE soft.author (id int PRIMARY KEY, name text UNIQUE, version_id int, created_at timestamptz, updated_at timestamptz, deleted_by text);
CREATE TABLE soft.book (id bigint, part text, author_id int REFERENCES soft.author ON DELETE CASCADE, touched bigint, PRIMARY KEY (id, part));
CREATE TABLE soft.loan (id int PRIMARY KEY, book_id bigint, part text, FOREIGN KEY (book_id, part) REFERENCES soft.book ON DELETE CASCADE);
CREATE TABLE soft.note (id int PRIMARY KEY, author_id int REFERENCES soft.author, removed boolean NOT NULL DEFAULT false);
CREATE TABLE soft.event (id int PRIMARY KEY, body text, deleted_at timestamptz);
INSERT INTO soft.author (id, name) SELECT i, 'author ' || i FROM generate_series(1, 5) AS i;
INSERT INTO soft.book SELECT i, 'a', i % 5 + 1 FROM generate_series(1, 20) AS i;
INSERT INTO soft.loan SELECT i, i, 'a' FROM generate_series(1, 20) AS i;
INSERT INTO soft.event SELECT i, 'event ' || i FROM generate_series(1, 20) AS i;
SELECT FROM unnest('{soft.author,soft.book,soft.loan,soft.event}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
SELECT FROM orm_ext.enable_soft_delete('soft.note', 'removed');
\pset format unaligned
\pset tuples_only on

SET search_path = hostile, pg_catalog;
-- the look-alikes are met by a statement that does not look out
SELECT 1 = 1;
SELECT now();
SELECT 1::int8;

SELECT policy, "column" FROM orm_ext.manage('soft.author');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON soft.note
	FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('author_id', 'updated_at');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON soft.loan
	FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('book_id', 'touched');
INSERT INTO soft.note VALUES (1, 2), (2, 3);
INSERT INTO soft.author (id, name) VALUES (6, 'six'), (7, 'seven');
UPDATE soft.author SET name = 'another' WHERE id OPERATOR(pg_catalog.=) 1;

-- deletes, with cascades and checks, and the way back
DELETE FROM soft.author WHERE id OPERATOR(pg_catalog.=) 1 RETURNING id, name;
DELETE FROM soft.author WHERE id OPERATOR(pg_catalog.=) 2;
INSERT INTO soft.book VALUES (30, 'a', 1);
MERGE INTO soft.author AS a USING (VALUES (4)) AS v (id) ON a.id OPERATOR(pg_catalog.=) v.id WHEN MATCHED THEN DELETE;
DELETE FROM soft.note WHERE id OPERATOR(pg_catalog.=) 2;
SELECT rel, rows, problem FROM orm_ext.restore_preview('soft.author', 1);
SELECT * FROM orm_ext.restore('soft.author', 1);
SELECT rel, rows FROM orm_ext.restore_preview_where('soft.author', 'id OPERATOR(pg_catalog.=) 4');
SELECT * FROM orm_ext.restore_where('soft.author', 'id OPERATOR(pg_catalog.=) 4');
DELETE FROM soft.book WHERE id OPERATOR(pg_catalog.=) 5;
SELECT r.rel, r.rows FROM orm_ext.deletions AS d, orm_ext.restore_preview_deletion(d.deleted_at) AS r WHERE d.rel OPERATOR(pg_catalog.=) 'soft.book'::pg_catalog.regclass;
SELECT * FROM orm_ext.restore('soft.book', '{"id": 5, "part": "a"}');
DELETE FROM soft.loan WHERE id OPERATOR(pg_catalog.=) 6;
SELECT r.rel, r.rows FROM orm_ext.deletions AS d, orm_ext.restore_deletion(d.deleted_at) AS r WHERE d.rel OPERATOR(pg_catalog.=) 'soft.loan'::pg_catalog.regclass;

-- versions
SELECT orm_ext.update_checked('soft.author', 6, '1', '{"name": "sixth"}') OPERATOR(pg_catalog.->>) 'version_id';
\set VERBOSITY terse
SELECT orm_ext.update_checked('soft.author', 6, '1', '{"name": "six again"}');
\set VERBOSITY default
SELECT FROM orm_ext.delete_checked('soft.author', 7, '1');

-- upserts
SELECT * FROM orm_ext.bulk_upsert('soft.author', '[{"id": 3, "name": "three"}, {"id": 9, "name": "nine"}]');
SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(NULL::soft.author, '[{"name": "three"}, {"name": "seven", "id": 7}]', '{name}', on_deleted => 'revive');
COPY soft.author (id, name) FROM STDIN WITH (on_conflict 'update');
3	third again
10	ten
\.

-- jobs
CALL orm_ext.batch_update('soft.event', 'body = ''x''', batch_size => 7);
CALL orm_ext.batch_delete('soft.event', 'id OPERATOR(pg_catalog.<) 10', batch_size => 4);
SELECT kind, state, rows_done FROM orm_ext.batch_jobs WHERE target OPERATOR(pg_catalog.=) 'soft.event' ORDER BY kind;
CALL orm_ext.purge('soft.event', '0 days');
DELETE FROM soft.author WHERE id OPERATOR(pg_catalog.=) 1;
CALL orm_ext.purge('soft.author', '0 days', dry_run => true);
CALL orm_ext.purge('soft.author', '0 days');

-- the rest
SELECT orm_ext.partition_by_marker('soft.event') IS NOT NULL LIMIT 1;
SELECT * FROM orm_ext.managed WHERE "table" OPERATOR(pg_catalog.=) 'soft.note'::pg_catalog.regclass;
SELECT rule, object FROM orm_ext.lint('soft');
SELECT name, conforms FROM orm_ext.naming_audit('soft') LIMIT 1;
SELECT name, new_name FROM orm_ext.naming_plan('soft');
CREATE TABLE soft.named (id int, email text, CHECK (id OPERATOR(pg_catalog.>) 0), UNIQUE (email));
ALTER TABLE soft.named RENAME COLUMN email TO mail;
SELECT item FROM orm_ext.status() LIMIT 1;
SELECT orm_ext.unmanage('soft.note');
SELECT orm_ext.unmanage('soft.author');
SELECT FROM orm_ext.disable_soft_delete('soft.book');

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA soft, hostile CASCADE;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
