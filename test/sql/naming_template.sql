--
-- Templates and the names that they make.
--
CREATE SCHEMA soft;
SET search_path = soft;
SET client_min_messages = warning;
\pset format unaligned

-- nothing is stored at first, and then the first preset holds
TABLE orm_ext.naming_template;
SELECT preset, p.kind, p.template FROM unnest('{first_column,all_columns,none}'::text[]) AS preset, orm_ext.naming_preset(preset) AS p ORDER BY 1, 2;
CREATE TABLE post (id int, account_id int, "Title" text);
CREATE TABLE account (id int);
SELECT kind, orm_ext.expected_name(kind, 'post', '{account_id,Title}', 'sane', 'account', '{id}') AS name,
	orm_ext.expected_name(kind, 'post', '{account_id,Title}', 'sane', 'account', '{id}')
		= (SELECT replace(replace(replace(replace(replace(template, '%(table_name)s', 'post'), '%(column_0_name)s', 'account_id'), '%(column_0_label)s', 'post_account_id'),
						'%(column_0_N_name)s', 'account_id_Title'), '%(constraint_name)s', 'sane')
		   FROM orm_ext.naming_preset('first_column') AS p WHERE p.kind = k.kind) AS "as the preset says"
FROM unnest('{pk,uq,fk,ck,ix,ex}'::text[]) AS k (kind);

--
-- What SQLAlchemy makes of the same: research, 1.4
--
CREATE SCHEMA billing;
CREATE SCHEMA "my.billing";
CREATE SCHEMA geo;
CREATE TABLE billing_invoice (id int);
CREATE TABLE billing.invoice (a int);
CREATE TABLE "my.billing".invoice (a int);
CREATE TABLE geo.region (code text, country text);
CREATE TABLE t (id int);
CREATE TABLE invoice (id int);
CREATE TABLE foo (bar_id int);
CREATE TABLE foo_bar (id int);
CREATE TABLE sales_order (id int);
CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (abc int);
CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (abc int);
CREATE TABLE reporting_monthly_customer_subscription_renewal_summary_line (id int);
CREATE TABLE reporting_monthly_customer_subscription_renewal_line (id int);
CREATE TABLE long_names (id int);
CREATE TABLE "Invoice_Ref No" (id int);
SELECT orm_ext.use_naming('first_column', 'billing', schema_in_label => true);
SELECT orm_ext.use_naming('first_column', 'my.billing', schema_in_label => true);
CREATE FUNCTION made(kind text, rel regclass, columns text[], constraint_name text, referred regclass, template text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	IF template IS NOT NULL THEN
		DELETE FROM orm_ext.naming_template AS t WHERE t.schema = 'soft' AND t.kind = made.kind;
		INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES ('soft', kind, template);
	END IF;
	result := orm_ext.expected_name(kind, rel, coalesce(columns, '{}'), constraint_name, referred);
	IF template IS NOT NULL THEN
		DELETE FROM orm_ext.naming_template AS t WHERE t.schema = 'soft' AND t.kind = made.kind;
	END IF;
	RETURN result;
END
$$;
SELECT n, made(kind, rel::regclass, columns::text[], given, referred::regclass, template) AS name,
	made(kind, rel::regclass, columns::text[], given, referred::regclass, template) IS NOT DISTINCT FROM sqlalchemy AS "as SQLAlchemy"
FROM (VALUES
	('1', 'pk', 'billing_invoice', '{id}', NULL, NULL, NULL, 'billing_invoice_pkey'),
	('2', 'fk', 'billing_invoice', '{account_id}', NULL, 'account', NULL, 'billing_invoice_account_id_fkey'),
	('3a', 'ix', 'billing_invoice', '{account_id}', NULL, NULL, NULL, 'billing_invoice_account_id_idx'),
	('3b', 'ix', 'billing.invoice', '{a}', NULL, NULL, NULL, 'billing_invoice_a_idx'),
	('3c', 'ix', '"my.billing".invoice', '{a}', NULL, NULL, NULL, 'my_billing_invoice_a_idx'),
	('3d', 'uq', 'billing.invoice', '{a}', NULL, NULL, NULL, 'invoice_a_key'),
	('4a', 'ck', 'billing_invoice', NULL, 'total_positive', NULL, NULL, 'billing_invoice_total_positive_check'),
	('4b', 'ck', 't', NULL, 't_x_check', NULL, NULL, 't_t_x_check_check'),
	('5', 'ck', 't', NULL, NULL, NULL, NULL, NULL),
	('6a', 'uq', 'invoice', '{a,b}', NULL, NULL, NULL, 'invoice_a_key'),
	('6b', 'uq', 'invoice', '{a,c}', NULL, NULL, NULL, 'invoice_a_key'),
	('7a', 'uq', 'foo', '{bar_id}', NULL, NULL, NULL, 'foo_bar_id_key'),
	('7b', 'uq', 'foo_bar', '{id}', NULL, NULL, NULL, 'foo_bar_id_key'),
	('8', 'fk', 'sales_order', '{region_code,country}', NULL, 'geo.region', NULL, 'sales_order_region_code_fkey'),
	('9a', 'uq', repeat('a', 55), '{abc}', NULL, NULL, NULL, repeat('a', 55) || '_abc_key'),
	('9b', 'uq', repeat('a', 56), '{abc}', NULL, NULL, NULL, repeat('a', 55) || '_5839'),
	('10a', 'pk', 'reporting_monthly_customer_subscription_renewal_summary_line', '{id}', NULL, NULL, NULL, 'reporting_monthly_customer_subscription_renewal_summary_ca27'),
	('10b', 'fk', 'reporting_monthly_customer_subscription_renewal_summary_line', '{subscription_id}', NULL, 'account', NULL, 'reporting_monthly_customer_subscription_renewal_summary_fb13'),
	('10c', 'ix', 'reporting_monthly_customer_subscription_renewal_summary_line', '{subscription_id}', NULL, NULL, NULL, 'reporting_monthly_customer_subscription_renewal_summary_cafe'),
	('10d', 'uq', 'reporting_monthly_customer_subscription_renewal_summary_line', '{subscription_id}', NULL, NULL, NULL, 'reporting_monthly_customer_subscription_renewal_summary_cc6d'),
	('11', 'ck', 'reporting_monthly_customer_subscription_renewal_line', NULL, 'amount_not_negative', NULL, NULL, 'reporting_monthly_customer_subscription_renewal_line_am_337b'),
	('12', 'uq', 'long_names', '{information_channel_code,billing_convention_name,product_identifier}', NULL, NULL, 'uq_%(table_name)s_%(column_0_N_name)s', 'uq_long_names_information_channel_code_billing_conventi_a79e'),
	('quotes', 'uq', '"Invoice_Ref No"', '{id}', NULL, NULL, NULL, 'Invoice_Ref No_id_key')
) AS example (n, kind, rel, columns, given, referred, template, sqlalchemy);
DELETE FROM orm_ext.naming_template;

--
-- Every token
--
\pset tuples_only on
CREATE SCHEMA "a.b";
CREATE TABLE "a.b"."T %s" (x int, "Y z" int, PRIMARY KEY ("Y z", x));
SELECT format('%s = %s', token, made('fk', 'post', '{account_id,"Title","c.3"}', 'given', 'account', '<' || token || '>'))
FROM unnest('{%(table_name)s,
	%(column_0_name)s,%(column_1_name)s,%(column_2_name)s,%(column_3_name)s,%(column_10_name)s,%(column_0N_name)s,%(column_0_N_name)s,
	%(column_0_label)s,%(column_1_label)s,%(column_3_label)s,%(column_0N_label)s,%(column_0_N_label)s,
	%(column_0_key)s,%(column_1_key)s,%(column_3_key)s,%(column_0N_key)s,%(column_0_N_key)s,
	%(referred_table_name)s,%(referred_column_0_name)s,%(constraint_name)s,
	%%,%%(table_name)s,%%%%,%%%(table_name)s%%,(table_name)s,s%(table_name)ss,%(table_name)s%(column_0_name)s}'::text[]) AS token;
INSERT INTO orm_ext.naming_template (kind, template) VALUES
	('fk', '%(table_name)s.%(column_0_N_name)s>%(referred_table_name)s.%(referred_column_0_name)s,%(referred_column_1_name)s,%(referred_column_0N_name)s,%(referred_column_0_N_name)s,%(referred_column_2_name)s');
SELECT orm_ext.expected_name('fk', 'post', '{a,b}', NULL, '"a.b"."T %s"', '{x,"Y z"}');
-- without a list of columns, a foreign key refers to the primary key
SELECT orm_ext.expected_name('fk', 'post', '{a,b}', NULL, '"a.b"."T %s"');
SELECT orm_ext.expected_name('fk', 'post', '{a,b}');
DELETE FROM orm_ext.naming_template;
-- a name is never read as a template
CREATE TABLE "%(column_0_name)s" (x int);
SELECT made('uq', '"%(column_0_name)s"', '{%(table_name)s}', NULL, NULL, '%(table_name)s_%(column_0_name)s_100%%');
-- labels with their schema, in which dots become _
INSERT INTO orm_ext.naming_template (schema, kind, template, schema_in_label) VALUES
	('a.b', 'ix', '%(column_0_label)s.%(table_name)s.%(column_1_label)s.%(column_0_name)s', true), ('a.b', 'uq', '%(column_0_N_label)s %(column_0N_label)s', true),
	('a.b', 'ex', '%(column_0_label)s', false);
SELECT kind, orm_ext.expected_name(kind, '"a.b"."T %s"', '{x,y.z}') FROM unnest('{ix,uq,ex}'::text[]) AS kind;
DELETE FROM orm_ext.naming_template;

--
-- Which row counts: that of the schema, else the general one, else the preset
--
INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES
	(NULL, 'uq', 'general_%(table_name)s'), (NULL, 'pk', NULL), (NULL, 'ix', 'general_%(column_0_label)s'),
	('soft', 'uq', 'soft_%(table_name)s'), ('soft', 'ix', NULL), ('soft', 'pk', 'soft_%(table_name)s');
SELECT rel, kind, orm_ext.expected_name(kind, rel::regclass, '{a,b}', 'given', 'account', '{id}')
FROM unnest('{post,geo.region}'::text[]) AS rel, unnest('{pk,uq,fk,ck,ix,ex}'::text[]) AS kind;
-- use_naming() replaces the rows of one schema, or the general ones
SELECT orm_ext.use_naming('all_columns', 'soft');
SELECT * FROM orm_ext.naming_template ORDER BY schema, kind;
SELECT orm_ext.use_naming('none');
SELECT orm_ext.use_naming('first_column', 'soft', 'postgres', true);
SELECT * FROM orm_ext.naming_template ORDER BY schema, kind;
SELECT rel, kind, orm_ext.expected_name(kind, rel::regclass, '{a,b}', 'given', 'account', '{id}')
FROM unnest('{post,geo.region}'::text[]) AS rel, unnest('{pk,uq,fk,ck,ix,ex}'::text[]) AS kind;
SELECT orm_ext.use_naming('first_column', 'not yet there');
DELETE FROM orm_ext.naming_template;
-- the same rows as written by hand
SELECT orm_ext.use_naming('all_columns');
SELECT t.schema, t.kind, t.template = p.template, t.overflow, t.schema_in_label
FROM orm_ext.naming_template AS t JOIN orm_ext.naming_preset('all_columns') AS p USING (kind) ORDER BY kind;
BEGIN;
SELECT orm_ext.use_naming('none');
SELECT orm_ext.expected_name('pk', 'post');
ROLLBACK;
SELECT orm_ext.expected_name('pk', 'post');
BEGIN;
SAVEPOINT a;
DELETE FROM orm_ext.naming_template;
UPDATE orm_ext.naming_template SET template = 'x';
SELECT orm_ext.expected_name('uq', 'post', '{a,b}');
ROLLBACK TO a;
SELECT orm_ext.expected_name('uq', 'post', '{a,b}');
UPDATE orm_ext.naming_template SET template = 'x_%(table_name)s' WHERE kind = 'uq';
SELECT orm_ext.expected_name('uq', 'post', '{a,b}');
TRUNCATE orm_ext.naming_template;
SELECT orm_ext.expected_name('uq', 'post', '{a,b}');
COMMIT;

--
-- What cannot be a template is refused when it is stored
--
CREATE FUNCTION store(template text, kind text DEFAULT 'fk', overflow text DEFAULT 'sqlalchemy') RETURNS SETOF text
LANGUAGE sql AS $$
SELECT compare.refusal(format('INSERT INTO orm_ext.naming_template (kind, template, overflow) VALUES (%L, %L, %L)', kind, template, overflow))
$$;
SELECT store('%(foo)s');
SELECT store('%(table)s_pkey');
SELECT template, line FROM unnest('{%(column_1N_name)s,%(column_1_N_name)s,%(column_name)s,%(column__name)s,%(column_0)s,%(column_0_)s,%(column_0_foo)s,%(column_-1_name)s,
	%(column_0_name_)s,%(column_0n_name)s,%(column_0_0_name)s,%(column_a_name)s,%(column_0_N_N_name)s,%(Table_name)s,%( table_name)s,%()s,%(referred_name)s,%(schema)s,
	%(referred_column_0_label)s,%(referred_column_0_key)s,%(referred_column_1_N_name)s,%(referred_table_label)s,%(column_99999999999999999999_name)s,
	%(table_name)d,%(table_name),%(table_name)-9s,%(table_name)S,%(table_name,%s,%d,%,100%,%%%,%(,%(table_name)s%,% (table_name)s}'::text[]) AS template, store(template) AS line WHERE line ~ '^[^ ]';
SELECT count(*) FILTER (WHERE line ~ 'detail') AS details, count(*) FILTER (WHERE line ~ 'hint') AS hints
FROM unnest('{%(foo)s,%(table_name)d,%,%(,%(column_1N_name)s}'::text[]) AS template, store(template) AS line;
SELECT store('');
SELECT store('ix_%(referred_table_name)s', 'ix');
SELECT store('uq_%(referred_column_0_name)s', 'uq');
SELECT store('x', 'xx');
SELECT store('x', 'PK');
SELECT store('x', NULL);
SELECT store('x', 'pk', 'nope');
SELECT store('x', 'pk', NULL);
SELECT compare.refusal('INSERT INTO orm_ext.naming_template (kind, template) VALUES (''pk'', ''x''), (''pk'', ''y'')');
SELECT compare.refusal('INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES (''s'', ''pk'', ''x''), (''s'', ''pk'', ''y'')');
INSERT INTO orm_ext.naming_template (kind, template) VALUES ('pk', 'x');
SELECT compare.refusal('UPDATE orm_ext.naming_template SET template = ''%(nope)s''');
SELECT compare.refusal('UPDATE orm_ext.naming_template SET kind = ''nope''');
TABLE orm_ext.naming_template;
DELETE FROM orm_ext.naming_template;
SELECT compare.refusal('SELECT orm_ext.naming_preset(''nope'')');
SELECT compare.refusal('SELECT orm_ext.naming_preset(NULL)');
SELECT compare.refusal('SELECT orm_ext.use_naming(''nope'')');
SELECT compare.refusal('SELECT orm_ext.use_naming(''none'', overflow => ''nope'')');
SELECT compare.refusal('SELECT orm_ext.use_naming(NULL)');
SELECT compare.refusal('SELECT orm_ext.expected_name(''nope'', ''post'')');
SELECT compare.refusal('SELECT orm_ext.expected_name(''sq'', ''post'')');
SELECT compare.refusal('SELECT orm_ext.expected_name(''pk'', ''nope'')');
SELECT orm_ext.expected_name(NULL, 'post') IS NULL, orm_ext.expected_name('pk', NULL) IS NULL;

-- a CHECK is named by the name it has, or by its one column
SELECT orm_ext.expected_name('ck', 'post', '{a}'), orm_ext.expected_name('ck', 'post', '{a}', 'given'), orm_ext.expected_name('ck', 'post', '{}', 'given'),
	orm_ext.expected_name('ck', 'post', '{a,b}') IS NULL, orm_ext.expected_name('ck', 'post') IS NULL, orm_ext.expected_name('ck', 'post', '{a,b}', 'given');
SELECT orm_ext.expected_name('uq', 'post', '{}'), orm_ext.expected_name('pk', 'post', '{nope}'), orm_ext.expected_name('ix', 'post', '{}'), orm_ext.expected_name('ix', 'post', ARRAY['a', NULL]);
SELECT made(kind, 'post', '{a,b}', NULL, 'account', 'x_%(constraint_name)s') IS NULL, made(kind, 'post', '{a,b}', 'given', 'account', 'x_%(constraint_name)s') FROM unnest('{pk,uq,fk,ck,ix,ex}'::text[]) AS kind;
-- a name of no letters is no name
SELECT made('ix', 'post', '{}', NULL, NULL, '%(column_0_name)s%(column_5_name)s') IS NULL;
-- matviews and partitioned tables have indexes too
CREATE MATERIALIZED VIEW seen AS SELECT 1 AS a;
CREATE TABLE measure (a int) PARTITION BY LIST (a);
SELECT orm_ext.expected_name('ix', 'seen', '{a}'), orm_ext.expected_name('pk', 'measure', '{a}');

--
-- Over-long names.  SQLAlchemy's rule once more, in SQL; it cuts only where the
-- server would cut too, and never inside a character.  (These many are tried
-- without caches being discarded.)
--
CREATE FUNCTION shortened(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN octet_length(name) <= 63 THEN name
	ELSE (SELECT left(name, max(n)) FROM generate_series(0, 55) AS n WHERE octet_length(left(name, n)) <= 55) || '_' || right(md5(convert_to(name, 'UTF8')), 4) END
$$;
CREATE SCHEMA long;
SET search_path = long, soft;
CREATE TABLE tried (letter text, length int, name text, expected text);
DO $$
DECLARE
	letter text;
	n int;
	tab text;
BEGIN
	PERFORM set_config('debug_discard_caches', '0', true);
	FOREACH letter IN ARRAY '{a,ä,表,😀}'::text[] LOOP
		FOR n IN 1 .. 63 / octet_length(letter) BY 2 LOOP
			tab := repeat(letter, n);
			EXECUTE format('CREATE TABLE %I ()', tab);
			INSERT INTO tried SELECT letter, n, orm_ext.expected_name('uq', tab::regclass, ARRAY[repeat(k, m)]), shortened(tab || '_' || repeat(k, m) || '_key')
			FROM unnest('{b,ö,列,🙂}'::text[]) AS k, generate_series(1, 63 / octet_length(k), 5) AS m;
			EXECUTE format('DROP TABLE %I', tab);
		END LOOP;
	END LOOP;
END
$$;
SELECT letter, count(*), count(*) FILTER (WHERE name = expected) AS same, max(octet_length(name)), count(*) FILTER (WHERE octet_length(expected) < 60 AND expected ~ '_[0-9a-f]{4}$') AS cut_before_55
FROM tried GROUP BY letter ORDER BY letter COLLATE "C";
SELECT * FROM tried WHERE name IS DISTINCT FROM expected LIMIT 5;
DROP TABLE tried;
-- exactly 63 and 64 bytes
CREATE TABLE ääääääääääääääääääääääääääääab ();
CREATE TABLE größe ();
SELECT name, octet_length(name) FROM unnest('{a,ab}'::text[]) AS col, orm_ext.expected_name('uq', 'ääääääääääääääääääääääääääääab', ARRAY[col]) AS name;
-- 13 and 14 of the examples, in bytes as the server counts
CREATE TABLE ääääääääääääääääääääääääääääääa_tab ();
CREATE TABLE 表表表表表表表表表表表表表表表表表表表表表 ();
SELECT orm_ext.expected_name('uq', 'ääääääääääääääääääääääääääääääa_tab', '{größe}');
SELECT orm_ext.expected_name('uq', '表表表表表表表表表表表表表表表表表表表表表', '{列列列列列列列列列列列列列列列列列列列列列}');
DROP TABLE 表表表表表表表表表表表表表表表表表表表表表;
-- the name is cut as a whole, so the label does not matter; CHECK names too
SELECT name = shortened('post_' || repeat('x', 60) || '_check'), name FROM orm_ext.expected_name('ck', 'post', '{}', repeat('x', 60)) AS name;

--
-- PostgreSQL's rule: the same names as its own
--
SELECT orm_ext.use_naming('all_columns', overflow => 'postgres');
CREATE TABLE referred (a int, b int, PRIMARY KEY (a, b), id int UNIQUE);
CREATE TABLE own (letters text, kind text, name text, plain text);
SET orm_ext.naming_fill = off;
DO $$
DECLARE
	letters text[];
	n int;
	m int;
	tab text;
	col text;
	columns text;
BEGIN
	PERFORM set_config('debug_discard_caches', '0', true);
	FOREACH letters SLICE 1 IN ARRAY '{{a,b},{ä,b},{a,ö},{表,😀}}'::text[] LOOP
		FOR n IN 1 .. 61 BY 20 LOOP
			FOR m IN 2 .. 62 BY 20 LOOP
				tab := left(repeat(letters[1], n), 63 / octet_length(letters[1]));
				col := left(repeat(letters[2], m), 63 / octet_length(letters[2]));
				FOREACH columns IN ARRAY ARRAY[format('%I', col), format('%I, c', col)] LOOP
					EXECUTE format('CREATE TABLE %1$I (%2$I int, c int, PRIMARY KEY (%3$s), UNIQUE (%3$s) DEFERRABLE, CHECK (%2$I > 0), EXCLUDE (%4$s WITH =), FOREIGN KEY (%3$s) REFERENCES referred %5$s)',
								   tab, col, columns, replace(columns, ', ', ' WITH =, '), CASE WHEN columns ~ ', c$' THEN '' ELSE '(id)' END);
					EXECUTE format('CREATE INDEX ON %I (%s)', tab, columns);
					INSERT INTO own
					SELECT letters::text, kind, orm_ext.expected_name(kind, tab::regclass, ARRAY(SELECT attname::text FROM unnest(keys) WITH ORDINALITY AS k (n, nth), pg_attribute
																							WHERE attrelid = tab::regclass AND attnum = k.n ORDER BY nth)), plain
					FROM (SELECT CASE contype WHEN 'p' THEN 'pk' WHEN 'u' THEN 'uq' WHEN 'f' THEN 'fk' WHEN 'c' THEN 'ck' WHEN 'x' THEN 'ex' END, conname::text, conkey
						  FROM pg_constraint WHERE conrelid = tab::regclass AND contype <> 'n'
						  UNION ALL
						  SELECT 'ix', relname::text, string_to_array(indkey::text, ' ')::smallint[]
						  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = tab::regclass AND NOT indisunique AND NOT indisexclusion) AS o (kind, plain, keys);
					EXECUTE format('DROP TABLE %I', tab);
				END LOOP;
			END LOOP;
		END LOOP;
	END LOOP;
END
$$;
SELECT letters, count(*), count(*) FILTER (WHERE name = plain) AS same, max(octet_length(name)) FROM own GROUP BY letters ORDER BY letters COLLATE "C";
SELECT * FROM own WHERE name IS DISTINCT FROM plain LIMIT 5;
RESET orm_ext.naming_fill;
-- of any template the variable parts are shortened, the longest first, and the rest stays
DELETE FROM orm_ext.naming_template;
INSERT INTO orm_ext.naming_template (kind, template, overflow) VALUES
	('uq', 'uq__%(table_name)s__%(column_0_name)s__%(column_1_name)s__end', 'postgres'), ('fk', '%(table_name)s_%(column_0_name)s_%(referred_table_name)s_fk', 'postgres'),
	('ck', '%(table_name)s_%(constraint_name)s_check', 'postgres'), ('ix', repeat('x', 60) || '_%(table_name)s', 'postgres'), ('ex', repeat('ä', 40), 'postgres'), ('pk', repeat('x', 70) || '%(table_name)s', 'sqlalchemy');
SELECT name, octet_length(name) FROM unnest(ARRAY[
	orm_ext.expected_name('uq', 'post', ARRAY[repeat('b', 40), repeat('c', 30)]), orm_ext.expected_name('uq', 'post', ARRAY[repeat('b', 60), 'c']), orm_ext.expected_name('uq', 'post', ARRAY['b', repeat('ö', 30)]),
	orm_ext.expected_name('fk', 'post', ARRAY[repeat('b', 40)], NULL, 'long_names'), orm_ext.expected_name('ck', 'post', '{}', repeat('c', 63)),
	orm_ext.expected_name('ix', 'post', '{a}'), orm_ext.expected_name('ex', 'post', '{a}'), orm_ext.expected_name('pk', 'post', '{a}')]) AS name;
DELETE FROM orm_ext.naming_template;

-- where a template names nothing but columns that are missing, PostgreSQL gives the name, and any will do
INSERT INTO orm_ext.naming_template (kind, template) VALUES ('ix', '%(column_1_name)s'), ('uq', '%(column_2_name)s');
SELECT orm_ext.expected_name('ix', 'post', '{a}') IS NULL, orm_ext.expected_name('ix', 'post', '{a,b}'), orm_ext.expected_name('uq', 'post', '{a,b}') IS NULL;
CREATE TABLE soft.few (a integer, b integer, UNIQUE (a, b));
CREATE INDEX ON soft.few (a);
CREATE INDEX ON soft.few (a, b);
CREATE INDEX given ON soft.few (b);
SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid WHERE indrelid = 'soft.few'::regclass ORDER BY relname COLLATE "C";
SELECT count(*) FROM orm_ext.naming_violations WHERE "table" = 'few';
DELETE FROM orm_ext.naming_template;

-- a dump of the database has the conventions in it
SELECT c::regclass FROM pg_extension, unnest(extconfig) AS c WHERE extname = 'orm_ext' AND c::regclass::text ~ 'naming' ORDER BY c::regclass::text;

RESET search_path;
DROP SCHEMA soft, long, billing, "my.billing", geo, "a.b" CASCADE;
