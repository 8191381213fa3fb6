--
-- orm_ext.bulk_upsert() and bulk_upsert_returning(): rows as jsonb and as arrays
-- of a table's row type, and what comes back.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE product (id int PRIMARY KEY, name text, price numeric(8,2) DEFAULT 9.99, tags text[], created_at date DEFAULT '2001-02-03');
	INSERT INTO product SELECT i, 'product ' || i, i, ARRAY['a', 'b'] FROM generate_series(1, 6) AS i;
$$);
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_upsert.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
-- nothing was done yet
SELECT count(*) FROM orm_ext.last_bulk_result();

--
-- What can be seen of it
--
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 1, "name": "one"}, {"id": 2, "name": "product 2"}, {"id": 7, "name": "seven"}]');
SELECT * FROM orm_ext.last_bulk_result();
SELECT * FROM product ORDER BY id;
ROLLBACK;
-- the result is of the session, not of the transaction
SELECT * FROM orm_ext.last_bulk_result();
BEGIN;
SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product, '[{"id": 7, "name": "seven"}, {"id": 2, "name": "product 2"}, {"id": 1, "name": "one"}]');
SELECT ordinal, action, (result).name, (result).price FROM orm_ext.bulk_upsert_returning(NULL::product, '[{"id": 7, "price": 7.777}, {"id": 1, "price": 1.111}]');
SELECT * FROM orm_ext.last_bulk_result();
ROLLBACK;
-- columns are named
\pset tuples_only off
SELECT * FROM orm_ext.bulk_upsert('product', '[]');
SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product, '[]');
SELECT * FROM orm_ext.last_bulk_result();
\pset tuples_only on

--
-- Every door, against row by row
--
CALL compare.bulk('product', '[{"id": 1, "name": "one"}]');
CALL compare.bulk('product', '[{"id": 9, "name": "nine"}]');
CALL compare.bulk('product', '[{"id": 1, "name": "product 1"}]');
CALL compare.bulk('product', '{"id": 1, "name": "one"}');
CALL compare.bulk('product', '{"id": 9}');
CALL compare.bulk('product', '[]');
CALL compare.bulk('product', '[{"id": 9, "name": "nine"}, {"id": 3, "name": "three"}, {"id": 8, "name": null}, {"id": 1, "name": "product 1"}, {"id": 2, "name": null}]');
-- every column, so that arrays can do it too; created_* stays as it is
CALL compare.bulk('product', '[{"id": 9, "name": "nine", "price": 1, "tags": ["x"], "created_at": "2020-01-01"}]');
CALL compare.bulk('product', '[{"id": 5, "name": "five", "price": 1, "tags": [], "created_at": "2020-01-01"}, {"id": 4, "name": "product 4", "price": 4, "tags": ["a", "b"], "created_at": "2020-01-01"}, {"id": 3, "name": null, "price": null, "tags": null, "created_at": null}, {"id": 9, "name": null, "price": null, "tags": null, "created_at": null}]');
-- rows that differ in their columns
CALL compare.bulk('product', '[{"id": 1}, {"id": 2, "name": "two"}, {"id": 3, "price": 3.5}, {"id": 4, "tags": ["c"], "name": "four"}, {"id": 8}, {"id": 9, "price": null}]');
-- nothing but the key
CALL compare.bulk('product', '[{"id": 1}, {"id": 8}, {"id": 3}]');
-- one row more than once
CALL compare.bulk('product', '[{"id": 1, "name": "a"}, {"id": 9, "name": "b"}, {"id": 1, "name": "c"}, {"id": 9, "name": "d"}, {"id": 2, "name": "e"}]');
-- many rows
SELECT (SELECT jsonb_agg(jsonb_build_object('id', i * 7 % 300, 'name', 'n' || i)) FROM generate_series(1, 60) AS i) AS rows \gset
CALL compare.bulk('product', :'rows');

--
-- Ways to call it
--
CREATE FUNCTION two(n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_array(jsonb_build_object('id', 1, 'name', 'name ' || n), jsonb_build_object('id', 100 + n, 'name', 'name ' || n))
$$;
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('product'::regclass, two(1));
SELECT * FROM orm_ext.bulk_upsert('soft.product', two(2)::text);
SELECT * FROM orm_ext.bulk_upsert('"soft"."product"'::text, two(3)::text, '{id}', '{name}', 'update', 'last', 'insert', NULL);
SELECT * FROM orm_ext.bulk_upsert(target => 'product'::regclass, rows => two(4), on_conflict => 'nothing');
SELECT * FROM orm_ext.bulk_upsert('product'::regclass::oid, two(5));
SELECT * FROM orm_ext.bulk_upsert('product', two(5)::json);
SELECT * FROM orm_ext.bulk_upsert('product'::text, two(5)::json);
SELECT * FROM orm_ext.bulk_upsert('product', two(5)::json::text);
SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(NULL::product, two(5)::json);
SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(NULL::product, two(5)::text);
SELECT orm_ext.bulk_upsert('product', two(6));
SELECT (orm_ext.bulk_upsert('product', two(7))).*;
SELECT inserted + updated FROM orm_ext.bulk_upsert('product', two(8));
SELECT * FROM orm_ext.bulk_upsert('product', '  { "id" : 1 , "name" : "spaces" }  ');
PREPARE put(jsonb) AS SELECT * FROM orm_ext.bulk_upsert('product', $1);
EXECUTE put(two(9));
EXECUTE put('[{"id": 1, "price": 5}]');
PREPARE put_text AS SELECT * FROM orm_ext.bulk_upsert($1, $2);
EXECUTE put_text('product', two(10)::text);
-- arrays
SELECT * FROM orm_ext.bulk_upsert(ARRAY[(1, 'row', 1, NULL, NULL), (200, 'row', 2, '{x}', '2002-02-02')]::product[]);
SELECT * FROM orm_ext.bulk_upsert('{"(1,row,1,,)","(201,row,2,{x},2002-02-02)"}'::product[], on_conflict => 'nothing');
SELECT * FROM orm_ext.bulk_upsert((SELECT array_agg(p) FROM product AS p));
SELECT * FROM orm_ext.bulk_upsert((SELECT array_agg(p) FROM product AS p WHERE false));
SELECT * FROM orm_ext.bulk_upsert('{}'::product[]);
SELECT * FROM orm_ext.bulk_upsert('product', (SELECT jsonb_agg(p) FROM product AS p WHERE false));
SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product, NULL::jsonb);
SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product[]);
SELECT * FROM orm_ext.bulk_upsert((SELECT array_agg((id, 'agg', price, tags, created_at)::product ORDER BY id) FROM product WHERE id < 4));
SELECT ordinal, action, (result).id FROM orm_ext.bulk_upsert_returning((SELECT array_agg((id + 2, 'agg', price, tags, created_at)::product ORDER BY id DESC) FROM product WHERE id < 4));
-- as a source of other statements
WITH r AS (SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product, two(11)))
	SELECT r.ordinal, r.action, p.name FROM r LEFT JOIN product AS p ON p.id = (r.result).id ORDER BY r.ordinal;
CREATE TEMP TABLE kept AS SELECT r.action, (r.result).* FROM orm_ext.bulk_upsert_returning(NULL::product, two(12)) AS r;
SELECT action, id, name FROM kept ORDER BY id;
SELECT v.n, u.inserted FROM (VALUES (13), (14)) AS v (n), LATERAL orm_ext.bulk_upsert('product', two(v.n)) AS u ORDER BY v.n;
SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(NULL::product, two(15)) LIMIT 1;
SELECT count(*) FROM product WHERE id = 115;
DECLARE cur CURSOR FOR SELECT ordinal, action FROM orm_ext.bulk_upsert_returning(NULL::product, two(16));
FETCH 1 FROM cur;
FETCH 1 FROM cur;
FETCH 1 FROM cur;
CLOSE cur;
DO $$
DECLARE
	r record;
	p soft.product;
BEGIN
	SELECT * INTO r FROM orm_ext.bulk_upsert('soft.product', soft.two(17));
	RAISE NOTICE '%', r;
	FOR r IN SELECT * FROM orm_ext.bulk_upsert_returning(NULL::soft.product, soft.two(18)) LOOP
		p := r.result;
		RAISE NOTICE '% % %', r.ordinal, r.action, p.name;
	END LOOP;
	PERFORM orm_ext.bulk_upsert('soft.product', soft.two(19));
	RAISE NOTICE '%', orm_ext.last_bulk_result();
END
$$;
ROLLBACK;
DEALLOCATE ALL;
-- what it did is seen by the statement after it, and by nothing in its own snapshot
BEGIN;
WITH u AS MATERIALIZED (SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 50}]')) SELECT inserted, (SELECT count(*) FROM product WHERE id = 50) FROM u;
SELECT count(*) FROM product WHERE id = 50;
ROLLBACK;

--
-- What is unchanged is neither written nor locked
--
SELECT p.ctid AS place, p.xmax AS locker FROM product AS p WHERE id = 3 \gset
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 3, "name": "product 3", "price": 3, "tags": ["a", "b"]}]');
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 3, "name": "other"}]', on_conflict => 'nothing');
SELECT ctid = :'place' AND xmax = :'locker' FROM product WHERE id = 3;
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 3, "name": "other"}]');
SELECT ctid = :'place' FROM product WHERE id = 3;
ROLLBACK;
-- no transaction id is taken for it
BEGIN;
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 3, "name": "product 3"}]');
SELECT pg_current_xact_id_if_assigned() IS NULL;
ROLLBACK;
-- what is unchanged is so as it is stored, not as it compares
CALL compare.in_both($$
	CREATE TABLE amount (id int PRIMARY KEY, n numeric, c char(5), f float8, j jsonb);
	INSERT INTO amount VALUES (1, 1.0, 'a', 0, '{"a": 1}');
$$);
CALL compare.bulk('amount', '{"id": 1, "n": 1.0}');
CALL compare.bulk('amount', '{"id": 1, "n": 1.00}');
CALL compare.bulk('amount', '{"id": 1, "c": "a"}');
CALL compare.bulk('amount', '{"id": 1, "c": "a    "}');
CALL compare.bulk('amount', '{"id": 1, "f": 0}');
CALL compare.bulk('amount', '{"id": 1, "f": "-0"}');
CALL compare.bulk('amount', '{"id": 1, "j": {"a": 1.0}}');
CALL compare.bulk('amount', '{"id": 1, "n": 1.00, "c": "a", "f": "-0", "j": {"a": 1}}');

--
-- Tables as they come: names that must be quoted or mean something to us, dropped
-- columns, no columns but the key, temporary and unlogged ones
--
CALL compare.in_both($$
	CREATE TABLE "Order line" (gone int, "Order Id" int, "select" text DEFAULT 'x"y', also_gone text, "a'b" int, PRIMARY KEY ("Order Id"));
	ALTER TABLE "Order line" DROP COLUMN gone, DROP COLUMN also_gone;
	ALTER TABLE "Order line" ADD "ü, (x)" int DEFAULT 5;
	INSERT INTO "Order line" VALUES (1, 'one', 1), (2, 'two', 2);
	CREATE TABLE "rows" (ordinal int PRIMARY KEY, action text, result text, "rows" int, target text, conflict text, excluded int, t int, r int, "new" int, old int);
	INSERT INTO "rows" VALUES (1, 'inserted', 'r', 1, 't', 'c', 1, 1, 1, 1, 1);
	CREATE TABLE only_key (a int PRIMARY KEY);
	INSERT INTO only_key VALUES (1);
	CREATE UNLOGGED TABLE quick (a int PRIMARY KEY, b int);
	INSERT INTO quick VALUES (1, 1);
$$);
CALL compare.bulk('"Order line"', '[{"Order Id": 1, "a''b": 5}, {"Order Id": 9, "a''b": 6}]');
CALL compare.bulk('"Order line"', '[{"Order Id": 1, "select": "\"; ''", "a''b": 5, "ü, (x)": 1}, {"Order Id": 9, "select": null, "a''b": null, "ü, (x)": null}]');
CALL compare.bulk('"Order line"', '[{"Order Id": 1, "select": "one", "a''b": 1, "ü, (x)": 5}]', '{"update_columns": ["ü, (x)", "a''b"], "conflict": ["Order Id"]}');
CALL compare.bulk('"rows"', '[{"ordinal": 1, "action": "b", "result": "s", "rows": 2, "target": "u", "conflict": "d", "excluded": 2, "t": 2, "r": 2, "new": 2, "old": 2}, {"ordinal": 2, "action": "b", "result": "s", "rows": 2, "target": "u", "conflict": "d", "excluded": 2, "t": 2, "r": 2, "new": 2, "old": 2}]');
CALL compare.bulk('"rows"', '[{"ordinal": 1, "excluded": 3}, {"ordinal": 2, "new": 3}]');
CALL compare.bulk('only_key', '[{"a": 1}, {"a": 2}]');
CALL compare.bulk('quick', '[{"a": 1, "b": 2}, {"a": 2, "b": 3}]');
BEGIN;
CREATE TEMP TABLE fleeting (a int PRIMARY KEY, b int) ON COMMIT DROP;
SELECT * FROM orm_ext.bulk_upsert('fleeting', '[{"a": 1, "b": 2}, {"a": 2, "b": 3}]');
SELECT * FROM orm_ext.bulk_upsert('pg_temp.fleeting', '[{"a": 1, "b": 2}, {"a": 2, "b": 4}]');
SELECT * FROM orm_ext.bulk_upsert_returning(NULL::fleeting, '[{"a": 1, "b": 5}]');
SELECT * FROM fleeting ORDER BY a;
COMMIT;
CREATE TEMP TABLE fleeting (b int, a int PRIMARY KEY);
SELECT * FROM orm_ext.bulk_upsert('fleeting', '[{"a": 1, "b": 2}, {"a": 2, "b": 3}]');
SELECT * FROM fleeting ORDER BY a;
DROP TABLE fleeting;

--
-- Foreign keys: within the input, to itself and to others
--
CALL compare.in_both($$
	CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node, product int REFERENCES product ON UPDATE CASCADE);
	INSERT INTO node VALUES (1, NULL, 1), (2, 1, 1);
$$);
CALL compare.bulk('node', '[{"id": 3, "parent": 3, "product": 2}, {"id": 4, "parent": 3, "product": 2}, {"id": 5, "parent": 2, "product": null}, {"id": 2, "parent": null, "product": 1}]');
-- it is one statement: the order of the rows is no matter
SELECT compare.after('SELECT * FROM orm_ext.bulk_upsert(''node'', ''[{"id": 3, "parent": 5}, {"id": 4, "parent": 3}, {"id": 5, "parent": 4}, {"id": 2, "parent": null}]'')',
					 'INSERT INTO node (id, parent) VALUES (2, NULL), (3, 5), (4, 3), (5, 4) ON CONFLICT (id) DO UPDATE SET parent = excluded.parent');
CALL compare.bulk('node', '[{"id": 3, "parent": 1}, {"id": 4, "product": 77}]');
CALL compare.bulk('node', '[{"id": 2, "parent": 77}]');

--
-- Settings of the session are no matter: how plans are made, how names and values are written
--
CALL compare.in_both($$
	CREATE TABLE reading (id int PRIMARY KEY, f float8, r real, at timestamptz, span interval, raw bytea, n numeric DEFAULT 1.50, part int);
	CREATE INDEX ON reading (part);
	CREATE UNIQUE INDEX reading_part ON reading (part, id) WHERE part > 0;
	INSERT INTO reading SELECT i, i / 3.0, i / 7.0, '2001-01-01Z', '1 day 1 hour', decode('00ff', 'hex'), i, i % 3 FROM generate_series(1, 40) AS i;
$$);
CREATE FUNCTION soft.readings() RETURNS text LANGUAGE sql SET search_path = soft AS $$
	SELECT compare.bulk_nested('reading', '[{"id": 7, "f": 0.1, "at": "2001-02-03 04:05:06.789Z"}, {"id": 1, "f": 0.333333333333333333, "at": "2001-01-01Z"}, {"id": 99, "f": 1e-300, "at": null}, {"id": 3, "f": 1, "at": "2001-01-01Z"}]')
		|| E'\n' || compare.bulk_nested('reading', '[{"id": 4, "part": 1, "r": 0.1}, {"id": 30, "part": 0, "r": 0.2, "f": 1}, {"id": 1, "part": 1}, {"id": 77, "part": 2, "span": "P1M"}]', '{"conflict": ["id"]}')
		|| E'\n' || compare.bulk_nested('reading', '[{"id": 4, "part": 1, "r": 0.1}, {"id": 77, "part": 2, "r": 0.2}, {"id": 78, "part": 0, "r": 0.2}, {"id": 1, "part": 1, "r": 5}]', '{"conflict": ["part", "id"]}', 't.id = r.id AND t.part = r.part AND t.part > 0')
$$;
CREATE FUNCTION soft.under(setting text, value text, usual text) RETURNS text LANGUAGE plpgsql SET search_path = soft SET jit = off AS $$
DECLARE
	before text := current_setting(setting);
	result text;
BEGIN
	PERFORM set_config(setting, value, true);
	result := readings();
	PERFORM set_config(setting, before, true);
	RETURN CASE WHEN result = usual THEN 'no matter' ELSE result END;
END
$$;
SELECT readings() AS usual \gset
\echo :usual
SELECT name, value, under(name, value, :'usual') FROM (VALUES
	('enable_nestloop', 'off'), ('enable_indexscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_material', 'off'),
	('enable_sort', 'off'), ('join_collapse_limit', '1'), ('from_collapse_limit', '1'), ('geqo_threshold', '2'), ('random_page_cost', '1000'), ('cpu_tuple_cost', '1000'),
	('plan_cache_mode', 'force_generic_plan'), ('plan_cache_mode', 'force_custom_plan'), ('default_statistics_target', '1'),
	('quote_all_identifiers', 'on'), ('backslash_quote', 'off'), ('escape_string_warning', 'off'), ('transform_null_equals', 'on'),
	('datestyle', 'German'), ('intervalstyle', 'iso_8601'), ('bytea_output', 'escape'), ('timezone', 'UTC'), ('array_nulls', 'off'),
	('default_toast_compression', 'pglz'), ('default_tablespace', 'pg_default'), ('work_mem', '64kB'), ('statement_timeout', '60s'), ('lock_timeout', '60s')
) AS v (name, value);
ANALYZE reading;
SELECT under('enable_nestloop', 'off', :'usual');
SELECT under('cpu_operator_cost', '0', :'usual');
BEGIN;
SET LOCAL standard_conforming_strings = off;
SET LOCAL escape_string_warning = off;
SET LOCAL extra_float_digits = -10;
SELECT * FROM orm_ext.bulk_upsert('reading', '[{"id": 1, "f": 0.3333333333333333}, {"id": 2, "f": 0.66666666666666663, "raw": "\\\\x00ff"}, {"id": 3, "f": 0.1234567890123456}, {"id": 99, "f": 0.1234567890123456}]');
RESET extra_float_digits;
SELECT id, f FROM reading WHERE id IN (3, 99) ORDER BY id;
ROLLBACK;

--
-- Many rows: as the plain statement
--
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('product', (SELECT jsonb_agg(jsonb_build_object('id', i, 'name', 'product ' || i % 10)) FROM generate_series(1, 20000) AS i))$$,
					 $$INSERT INTO product (id, name) SELECT i, 'product ' || i % 10 FROM generate_series(1, 20000) AS i ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SET work_mem = '64kB';
SELECT compare.after($$SELECT * FROM orm_ext.bulk_upsert('product', (SELECT jsonb_agg(jsonb_build_object('id', i * 7919 % 20011, 'name', 'product ' || i)) FROM generate_series(1, 20000) AS i))$$,
					 $$INSERT INTO product (id, name) SELECT i * 7919 % 20011, 'product ' || i FROM generate_series(1, 20000) AS i ON CONFLICT (id) DO UPDATE SET name = excluded.name$$);
SELECT bool_and(ordinal = (result).price) AND count(*) = 5000 FROM orm_ext.bulk_upsert_returning(NULL::product, (SELECT jsonb_agg(jsonb_build_object('id', 30000 + i * 7919 % 5003, 'price', i) ORDER BY i) FROM generate_series(1, 5000) AS i));
SELECT bool_and(action = 'unchanged' AND ordinal = (result).price) FROM orm_ext.bulk_upsert_returning((SELECT array_agg(p ORDER BY price) FROM product AS p WHERE id >= 30000));
RESET work_mem;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
