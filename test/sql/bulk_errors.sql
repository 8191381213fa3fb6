--
-- Bulk upsert: how it fails, and what the client is told of it.
--
CREATE SCHEMA soft;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_errors.data'
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE category (id int PRIMARY KEY);
INSERT INTO category VALUES (1);
CREATE TABLE product (
	id int PRIMARY KEY, code text UNIQUE, price numeric(6,2) CHECK (price > 0), name text NOT NULL, category int REFERENCES category,
	twice numeric GENERATED ALWAYS AS (price * 2) STORED, during int4range, EXCLUDE USING gist (during WITH &&)
);
INSERT INTO product VALUES (1, 'a', 1, 'one', 1, DEFAULT, '[1,5)'), (2, 'b', 2, 'two', 1, DEFAULT, '[5,9)');

--
-- The input
--
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1}, {"id": 2, "colour": "red"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "Price": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "ctid": "(0,1)"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1}, 5]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1}, {"id": 2}, null]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[[{"id": 1}]]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '"text"')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', 'null')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '7')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product'::regclass, NULL::jsonb)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(NULL::regclass, '[]'::jsonb)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(NULL::product[])$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert_returning(NULL::product, NULL::jsonb)$$);
-- a value that does not fit
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1}, {"id": 2}, {"id": 3, "price": "abc"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "price": 12345}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "during": "[5,1]"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', jsonb_build_array(jsonb_build_object('id', 1, 'price', repeat('long ', 100))))$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "price": {"a": [1]}}]')$$);
SELECT * FROM compare.failure($$SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product, '[{"id": "x"}]')$$);
-- arrays
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(ARRAY[(1, 'a', 1, 'one', 1, 2, NULL), NULL]::product[])$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('{1,2}'::int[])$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('{}'::record[])$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert_returning('{a}'::text[])$$);
CREATE TYPE loose AS (id int);
SELECT left(line, 5) FROM compare.failure($$SELECT orm_ext.bulk_upsert(ARRAY[ROW(1)]::loose[])$$) AS line LIMIT 1;
SELECT left(line, 5) FROM compare.failure($$SELECT orm_ext.bulk_upsert_returning(NULL::loose, '[]'::jsonb)$$) AS line LIMIT 1;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert_returning(NULL::int, '[]'::jsonb)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert_returning(NULL, '[]'::jsonb)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(ARRAY[ARRAY[(1, 'a', 1, 'one', 1, 2, NULL)::product], ARRAY[(2, 'b', 1, 'one', 1, 2, NULL)::product]], on_conflict => 'nothing')$$);

--
-- The target
--
CREATE VIEW products AS SELECT * FROM product;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM product;
CREATE SEQUENCE numbers;
CREATE FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE SERVER regress_orm_server FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE FOREIGN TABLE abroad (id int) SERVER regress_orm_server;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('products', '[{"id": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('stored', '[{"id": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('numbers', '[{"id": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('abroad', '[{"id": 1}]')$$);
SELECT left(line, 5) FROM compare.failure($$SELECT orm_ext.bulk_upsert('product_pkey', '[{"id": 1}]')$$) AS line LIMIT 1;
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(NULL::products[] || (SELECT array_agg(p) FROM products AS p))$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert_returning(NULL::products, '[]'::jsonb)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('nothing', '[{"id": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(1::regclass, '[{"id": 1}]'::jsonb)$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('pg_catalog.pg_class', '[{"oid": 1}]')$$);

--
-- What the table does not take: PostgreSQL's own words, and the row's ordinal
--
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 7, "name": "x"}, {"id": 2, "price": -1}, {"id": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 7, "name": "x"}, {"id": 1}, {"id": 8}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 7, "name": "x"}, {"id": 1, "name": null}]')$$);
-- a unique key that was not asked for
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 9, "name": "x"}, {"id": 8, "name": "x", "code": "a"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "name": "x"}, {"id": 2, "code": "a"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 9, "name": "x", "code": "same"}, {"id": 8, "name": "x", "code": "same"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 9, "name": "x", "during": "[2,3)"}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 9, "name": "x", "category": 1}, {"id": 2, "category": 77}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1}, {"id": 2, "twice": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1}, {"id": 9, "name": "x", "twice": 1}]')$$);
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert('product', '[{"id": 1, "price": 9999.999}]')$$);
-- of an array, of one with the answer, of COPY
SELECT * FROM compare.failure($$SELECT orm_ext.bulk_upsert(ARRAY[(1, 'a', 1, 'one', 1, 2, NULL), (2, 'b', -1, 'two', 1, 2, NULL)]::product[])$$);
SELECT * FROM compare.failure($$SELECT * FROM orm_ext.bulk_upsert_returning(NULL::product, '[{"id": 1}, {"id": 2, "price": -1}]')$$);
COPY (VALUES (3, 'x'), (1, NULL)) TO :'file';
SELECT * FROM compare.failure(format('COPY product (id, name) FROM %L WITH (on_conflict ''update'')', :'file'));
COPY (VALUES (1, 'x'), (2, 'y'), (NULL, 'z')) TO :'file' WITH (FORMAT csv);
SELECT * FROM compare.failure(format('COPY product (id, name) FROM %L WITH (FORMAT csv, on_conflict ''update'')', :'file'));
COPY (VALUES ('1', 'x'), ('two', 'y')) TO :'file';
SELECT * FROM compare.failure(format('COPY product (id, name) FROM %L WITH (on_conflict ''update'')', :'file'));
SELECT * FROM compare.failure(format('COPY product (id, name) FROM %L', :'file'));
COPY (VALUES (1, 'x', 3)) TO :'file';
SELECT * FROM compare.failure(format('COPY product (id, name) FROM %L WITH (on_conflict ''update'')', :'file'));

-- nothing of it stays
SELECT * FROM product ORDER BY id;

--
-- Where nothing may be written
--
BEGIN READ ONLY;
\set VERBOSITY terse
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 1, "name": "x"}]');
ROLLBACK;
BEGIN READ ONLY;
COPY product (id, name) FROM :'file' WITH (on_conflict 'update');
ROLLBACK;
\set VERBOSITY default
CREATE FUNCTION soft.pure() RETURNS bigint LANGUAGE sql STABLE AS $$SELECT updated FROM orm_ext.bulk_upsert('soft.product', '[{"id": 1, "name": "x"}]')$$;
SELECT * FROM compare.failure('SELECT soft.pure()');

--
-- Interrupted
--
CREATE FUNCTION soft.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(10); RETURN new; END $$;
CREATE TRIGGER slow BEFORE INSERT ON product FOR EACH ROW EXECUTE FUNCTION soft.slow();
SET statement_timeout = 100;
\set VERBOSITY terse
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 1, "name": "x"}]');
\set VERBOSITY default
RESET statement_timeout;
DROP TRIGGER slow ON product;
SELECT * FROM orm_ext.bulk_upsert('product', '[{"id": 1, "name": "one"}]');

-- volatile, for everybody, of bounded rows: as they are declared
SELECT proname, pg_get_function_identity_arguments(oid), provolatile, proparallel, prosecdef FROM pg_proc
	WHERE pronamespace = 'orm_ext'::regnamespace AND proname ~ 'bulk' ORDER BY 1, 2;

-- what the statement asks back is for nobody else, in a trigger neither
CREATE TABLE meddled (id int PRIMARY KEY, a text);
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	question text;
BEGIN
	FOREACH question IN ARRAY ARRAY['found(1, ROW(1), NULL)', 'found(1, NULL, NULL)', 'takes(2, NULL)', 'conflicts(ROW(1, 2), NULL)',
		'has(100)', 'default(100, NULL::int)']
	LOOP
		BEGIN
			EXECUTE 'SELECT orm_ext.upsert_' || question;
			RAISE NOTICE '% was answered', question;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
		END;
	END LOOP;
	RETURN new;
END $$;
CREATE TRIGGER meddle BEFORE INSERT ON meddled FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT * FROM orm_ext.bulk_upsert('meddled', '[{"id": 1, "a": "x"}, {"id": 2, "a": "y"}]');
DROP TRIGGER meddle ON meddled;
CREATE TRIGGER meddle AFTER INSERT ON meddled FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT * FROM orm_ext.bulk_upsert('meddled', '[{"id": 2, "a": "z"}, {"id": 3, "a": "y"}]');
SELECT * FROM meddled ORDER BY id;
SELECT orm_ext.upsert_has(1);
SELECT orm_ext.run_copy();
SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
DROP SERVER regress_orm_server;
DROP FOREIGN DATA WRAPPER regress_orm_wrapper;
