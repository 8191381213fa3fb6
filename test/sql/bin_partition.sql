--
-- partition_by_marker(): live rows in one partition, deleted ones in a partition
-- for each step of time.
--
CREATE SCHEMA bin;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
SET search_path = bin;
SET client_min_messages = warning;
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
CREATE ROLE regress_orm_reader;
CREATE ROLE regress_orm_owner;
GRANT CREATE, USAGE ON SCHEMA bin TO regress_orm_owner;

-- A step's name holds a time; the first and the last are told apart by what is in them.
CREATE FUNCTION rows_by_partition(rel regclass) RETURNS TABLE (part text, rows bigint)
LANGUAGE plpgsql SET orm_ext.deleted_rows = show AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT tableoid::regclass::text, count(*) FROM %s GROUP BY tableoid ORDER BY 1', rel);
END
$$;
-- The same without the time of this test.
CREATE FUNCTION timeless(t text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(replace(replace(t, to_char(now(), 'YYYY_MM'), '<this month>'), to_char(date_trunc('month', now()) - interval '1 day', 'YYYY_MM'), '<last month>'),
		'_20\d\d_\d\d', '_<month>', 'g'), '''20[23]\d-[^'']*''', '<time>', 'g')
$$;

--
-- A table with all that it can have keeps it
--
SET ROLE regress_orm_owner;
CREATE TABLE customer (id int PRIMARY KEY);
INSERT INTO customer VALUES (1), (2);
CREATE TABLE orders (
	id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 3) PRIMARY KEY,
	number serial,
	email text UNIQUE,
	customer int NOT NULL DEFAULT 1 REFERENCES customer,
	price numeric CHECK (price > 0),
	gross numeric GENERATED ALWAYS AS (price * 2) STORED,
	updated_at timestamptz,
	deleted_at timestamptz);
COMMENT ON COLUMN orders.price IS 'in cents';
COMMENT ON TABLE orders IS 'what''s bought';
CREATE INDEX ON orders (customer) WHERE deleted_at IS NULL;
SELECT count(*) FROM orm_ext.manage('orders');
ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_orm_stamp;
GRANT SELECT, DELETE ON orders TO regress_orm_reader WITH GRANT OPTION;
GRANT UPDATE (price) ON orders TO regress_orm_reader;
INSERT INTO orders (email, price) SELECT 'e' || i, i FROM generate_series(1, 100) AS i;
DELETE FROM orders WHERE number > 80;
-- some in the month before this one
UPDATE orders SET deleted_at = date_trunc('month', now()) - interval '1 day' WHERE deleted_at IS NOT NULL AND number > 95;
CREATE TABLE before AS SELECT * FROM orders WHERE orm_ext.with_deleted(deleted_at);
SELECT timeless(c) FROM orm_ext.partition_by_marker('orders', ahead => 1) AS c;
RESET ROLE;
SELECT timeless(part), rows FROM rows_by_partition('orders');
-- all rows are there, as they were
SELECT count(*) FROM ((TABLE before EXCEPT ALL SELECT * FROM orders WHERE orm_ext.with_deleted(deleted_at)) UNION ALL (SELECT * FROM orders WHERE orm_ext.with_deleted(deleted_at) EXCEPT ALL TABLE before)) AS d;
SELECT relowner::regrole, relacl IS NOT DISTINCT FROM (SELECT relacl FROM pg_class WHERE oid = 'orders_live'::regclass) AS same_rights FROM pg_class WHERE oid = 'orders'::regclass;
SELECT attname, attacl IS NOT DISTINCT FROM (SELECT attacl FROM pg_attribute AS l WHERE attrelid = 'orders_live'::regclass AND l.attname = a.attname) AS same_rights, attnotnull, attidentity, attgenerated,
	col_description(attrelid, attnum), (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum) AS value
FROM pg_attribute AS a WHERE attrelid = 'orders'::regclass AND attnum > 0;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype <> 'n' ORDER BY 1;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'bin' AND tablename IN ('orders', 'orders_live') ORDER BY 1;
SELECT m.*, tgenabled FROM orm_ext.managed AS m JOIN pg_trigger ON tgrelid = "table" AND tgname = trigger WHERE "table" = 'orders'::regclass ORDER BY policy;
-- numbers go on where they were
INSERT INTO orders (email, price) VALUES ('new', 7) RETURNING id, number, gross, customer;
SELECT pg_get_serial_sequence('orders', 'id'), pg_get_serial_sequence('orders', 'number');

--
-- Live queries read one partition, and a DELETE moves its rows
--
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 4;
EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE email = 'e1';
RESET enable_seqscan;
EXPLAIN (COSTS OFF) SELECT count(*) FROM orders AS o JOIN customer AS c ON c.id = o.customer WHERE o.email = 'e1';
SET plan_cache_mode = force_generic_plan;
PREPARE by_id AS SELECT email FROM orders WHERE id = $1;
EXPLAIN (COSTS OFF) EXECUTE by_id(4);
RESET plan_cache_mode;
EXPLAIN (COSTS OFF) UPDATE orders SET price = 8 WHERE id = 4;
\pset tuples_only off
DELETE FROM orders WHERE id IN (4, 7);
DELETE FROM orders WHERE id IN (4, 7);
UPDATE orders SET price = 8 WHERE id = 10;
UPDATE orders SET deleted_at = NULL WHERE id = 4 AND deleted_at IS NOT NULL;
\pset tuples_only on
SELECT timeless(part), rows FROM rows_by_partition('orders');
-- keys hold among live rows
INSERT INTO orders (email, price) VALUES ('e1', 7);
INSERT INTO orders (id, email, price) OVERRIDING SYSTEM VALUE VALUES (10, 'other', 7);
INSERT INTO orders (email, price) VALUES ('e100', 7) RETURNING number;
-- ... and the key over the marker serves ON CONFLICT
INSERT INTO orders (id, email, price) OVERRIDING SYSTEM VALUE VALUES (10, 'e10', 9) ON CONFLICT (id, deleted_at) DO UPDATE SET price = excluded.price RETURNING id, price;

--
-- Purge: a step is dropped, whatever else would read the table
--
UPDATE orders SET deleted_at = '2001-02-03' WHERE deleted_at IS NOT NULL AND number > 97;
-- what was deleted in a month that is not there yet moves to it
UPDATE orders SET deleted_at = date_trunc('month', now()) + interval '2 months' WHERE deleted_at IS NOT NULL AND number = 96;
SELECT timeless(c) FROM orm_ext.partition_by_marker('orders', ahead => 2) AS c;
SELECT timeless(part), rows FROM rows_by_partition('orders');
SELECT count(*) FROM orm_ext.partition_by_marker('orders', ahead => 2);
SELECT timeless(c) FROM orm_ext.partition_by_marker('orders', ahead => 2, older_than => '100 years') AS c;
-- steps long ago, of 2001 and before; they end when the year does
CREATE TABLE orders_deleted_2000 PARTITION OF orders_deleted FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
UPDATE orders SET deleted_at = '2000-02-03' WHERE deleted_at < '2002-01-01' AND number > 98;
SELECT count(*) FROM orders_deleted_2000 WHERE deleted_at IS NOT NULL;
BEGIN;
SELECT c FROM orm_ext.partition_by_marker('orders', ahead => 2, older_than => '20 years') AS c;
-- the live rows and their table are free meanwhile
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('orders'::regclass, 'orders_live'::regclass) AND mode IN ('ExclusiveLock', 'AccessExclusiveLock');
COMMIT;
SELECT to_regclass('orders_deleted_2000');
-- what is left over goes by purge()
CALL orm_ext.purge('orders', '20 years');
SELECT count(*) FROM orders WHERE deleted_at < '2002-01-01';

--
-- Other markers
--
CREATE TABLE micros (id int PRIMARY KEY, gone bigint NOT NULL DEFAULT 0);
CREATE TABLE flagged (id int PRIMARY KEY, gone boolean NOT NULL DEFAULT false);
CREATE TABLE zoneless (id int PRIMARY KEY, gone timestamp);
CREATE TABLE keyless (v int, gone timestamptz);
SELECT count(*) FROM unnest('{micros,flagged,zoneless,keyless}'::regclass[]) AS t, orm_ext.enable_soft_delete(t, 'gone');
INSERT INTO micros SELECT generate_series(1, 10);
INSERT INTO flagged SELECT generate_series(1, 10);
INSERT INTO zoneless SELECT generate_series(1, 10);
INSERT INTO keyless SELECT generate_series(1, 10);
DELETE FROM micros WHERE id > 6;
DELETE FROM flagged WHERE id > 6;
DELETE FROM zoneless WHERE id > 6;
DELETE FROM keyless WHERE v > 6;
SELECT timeless(c) FROM orm_ext.partition_by_marker('micros', 'year', 0) AS c WHERE c ~ 'KEY|ATTACH|_rest|PARTITION BY';
SELECT c FROM orm_ext.partition_by_marker('flagged') AS c;
SELECT count(*) FROM orm_ext.partition_by_marker('flagged');
SELECT timeless(c) FROM orm_ext.partition_by_marker('zoneless', 'quarter', 0) AS c WHERE c ~ 'KEY|UNIQUE|ATTACH|_rest|PARTITION BY';
SELECT count(*) > 5 FROM orm_ext.partition_by_marker('keyless', 'week');
SELECT count(*) FROM orm_ext.partition_by_marker('keyless', 'week');
DELETE FROM micros WHERE id > 4;
DELETE FROM flagged WHERE id > 4;
DELETE FROM zoneless WHERE id > 4;
DELETE FROM keyless WHERE v > 4;
SELECT regexp_replace(part, '_20.*', '_<time>'), rows FROM unnest('{micros,flagged,zoneless,keyless}'::regclass[]) AS t, rows_by_partition(t);
EXPLAIN (COSTS OFF) SELECT * FROM micros WHERE id = 5;
EXPLAIN (COSTS OFF) SELECT * FROM flagged WHERE id = 5;
EXPLAIN (COSTS OFF) SELECT * FROM zoneless WHERE id = 5;
INSERT INTO micros VALUES (1);
TRUNCATE flagged_deleted;
SET orm_ext.delete_mode = hard;
TRUNCATE flagged_deleted;
RESET orm_ext.delete_mode;
SELECT * FROM rows_by_partition('flagged');
CALL orm_ext.purge('micros', '0');
SELECT regexp_replace(part, '_20.*', '_<time>'), rows FROM rows_by_partition('micros');

--
-- What is refused
--
CREATE TABLE post (id int PRIMARY KEY, deleted_at timestamptz);
SELECT * FROM orm_ext.partition_by_marker('post');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM orm_ext.enable_soft_delete('post');
SELECT * FROM orm_ext.partition_by_marker('post', 'century');
SELECT * FROM orm_ext.partition_by_marker('post', ahead => -1);
SELECT * FROM orm_ext.partition_by_marker('post', NULL);
SELECT * FROM orm_ext.partition_by_marker(NULL);
CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post);
SELECT * FROM orm_ext.partition_by_marker('post');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE comment;
CREATE VIEW post_ids AS SELECT id FROM post;
SELECT * FROM orm_ext.partition_by_marker('post');
DROP VIEW post_ids;
CREATE FUNCTION post_count() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM post; END;
SELECT * FROM orm_ext.partition_by_marker('post');
DROP FUNCTION post_count();
CREATE POLICY p ON post USING (true);
SELECT * FROM orm_ext.partition_by_marker('post');
DROP POLICY p ON post;
ALTER TABLE post ENABLE ROW LEVEL SECURITY;
SELECT * FROM orm_ext.partition_by_marker('post');
ALTER TABLE post DISABLE ROW LEVEL SECURITY;
CREATE TABLE post_child () INHERITS (post);
SELECT * FROM orm_ext.partition_by_marker('post');
DROP TABLE post_child;
CREATE TABLE post_live ();
SELECT count(*) FROM orm_ext.partition_by_marker('post');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE post_live;
SET ROLE regress_orm_owner;
SELECT * FROM orm_ext.partition_by_marker('post');
RESET ROLE;
CREATE TABLE hashed (id int PRIMARY KEY, deleted_at timestamptz) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT count(*) FROM orm_ext.enable_soft_delete('hashed');
SELECT * FROM orm_ext.partition_by_marker('hashed');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM orm_ext.partition_by_marker('hashed_0');
-- nothing of that was done by halves
SELECT count(*) FROM pg_class WHERE relname ~ '^(post|hashed)_(live|deleted)';
SELECT count(*) > 5 FROM orm_ext.partition_by_marker('post');

DROP SCHEMA bin CASCADE;
DROP ROLE regress_orm_reader, regress_orm_owner;
