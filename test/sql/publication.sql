--
-- create_publication(): publications of live rows, and the replica identities
-- that they need.  What a subscriber makes of them is tested with one.
--
CREATE SCHEMA pub;
SET search_path = pub;
SET client_min_messages = error;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
CREATE ROLE regress_orm_publisher;

CREATE FUNCTION identities(rel regclass) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', t.relid, c.relreplident, (SELECT i.indexrelid::regclass FROM pg_index AS i WHERE i.indrelid = t.relid AND i.indisreplident))
	FROM (SELECT rel AS relid UNION SELECT relid FROM pg_partition_tree(rel)) AS t JOIN pg_class AS c ON c.oid = t.relid ORDER BY t.relid::regclass::text
$$;

CREATE TABLE stamped (id int PRIMARY KEY, v int, deleted_at timestamptz);
CREATE TABLE zoneless (id int PRIMARY KEY, v int, "deleted AT" timestamp);
CREATE TABLE micros (id int PRIMARY KEY, v int, gone bigint NOT NULL DEFAULT 0);
CREATE TABLE flagged (id int PRIMARY KEY, v int, gone boolean NOT NULL DEFAULT false);
CREATE TABLE plain (id int PRIMARY KEY, v int);
CREATE TABLE parted (id int PRIMARY KEY, v int, deleted_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200) PARTITION BY LIST (id);
CREATE TABLE parted_2_rest PARTITION OF parted_2 DEFAULT;
CREATE TABLE parted_micros (id int PRIMARY KEY, v int, gone bigint NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
CREATE TABLE parted_micros_1 PARTITION OF parted_micros FOR VALUES FROM (0) TO (100);
SELECT count(*) FROM unnest('{stamped,parted}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
SELECT count(*) FROM unnest('{micros,flagged,parted_micros}'::regclass[]) AS t, orm_ext.enable_soft_delete(t, 'gone');
SELECT count(*) FROM orm_ext.enable_soft_delete('zoneless', 'deleted AT');

-- all kinds at once, and each only once
SELECT * FROM orm_ext.create_publication('live', '{stamped,zoneless,micros,flagged,plain,parted,stamped}');
SELECT schemaname, tablename, rowfilter FROM pg_publication_tables WHERE pubname = 'live' ORDER BY 2;
SELECT pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication WHERE pubname = 'live';
SELECT r FROM unnest('{stamped,zoneless,micros,flagged,plain,parted}'::regclass[]) AS t, identities(t) AS r;
-- the server takes what it would refuse without them
INSERT INTO parted VALUES (1), (150);
DELETE FROM parted;
UPDATE parted SET deleted_at = NULL WHERE deleted_at IS NOT NULL;
-- a partition that comes later has none, and the server says so
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (200) TO (300);
INSERT INTO parted VALUES (250);
DELETE FROM parted WHERE id = 250;
\echo :LAST_ERROR_SQLSTATE
DROP PUBLICATION live;
-- what is there already is left as it is
SELECT * FROM orm_ext.create_publication('live', '{stamped,parted_1}');
DROP PUBLICATION live;

--
-- By index
--
ALTER TABLE micros REPLICA IDENTITY DEFAULT;
ALTER TABLE flagged REPLICA IDENTITY DEFAULT;
SELECT * FROM orm_ext.create_publication('live', '{micros,flagged,parted_micros}', 'index');
SELECT r FROM unnest('{micros,flagged,parted_micros}'::regclass[]) AS t, identities(t) AS r;
INSERT INTO parted_micros VALUES (1);
UPDATE parted_micros SET v = 1;
DELETE FROM parted_micros;
DROP PUBLICATION live;
SELECT * FROM orm_ext.create_publication('live', '{micros,parted_micros}', 'index');
DROP PUBLICATION live;
-- auto takes an index that is there
ALTER TABLE micros REPLICA IDENTITY DEFAULT;
SELECT * FROM orm_ext.create_publication('live', '{micros}');
DROP PUBLICATION live;
-- full says what it says
ALTER TABLE micros REPLICA IDENTITY DEFAULT;
SELECT * FROM orm_ext.create_publication('live', ARRAY['micros'::regclass], identity => 'full');
DROP PUBLICATION live;
-- an index that may not be one: with nulls, of some rows, of an expression, deferrable; or without the marker
CREATE TABLE unfit (id int PRIMARY KEY, v int, gone bigint NOT NULL DEFAULT 0, UNIQUE (v, gone), UNIQUE (id, gone) DEFERRABLE);
CREATE UNIQUE INDEX ON unfit (id, gone) WHERE v > 0;
CREATE UNIQUE INDEX ON unfit (id, gone, (v + 1));
CREATE UNIQUE INDEX ON unfit (id) INCLUDE (gone);
SELECT count(*) FROM orm_ext.enable_soft_delete('unfit', 'gone', unique_keys => 'all');
BEGIN;
SELECT * FROM orm_ext.create_publication('live', '{unfit}');
ROLLBACK;
SELECT * FROM orm_ext.create_publication('live', '{unfit}', 'index');
DROP PUBLICATION live;
-- where there can be none
SELECT * FROM orm_ext.create_publication('live', '{plain,zoneless,stamped}', 'index');
CREATE TABLE fresh (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE keyless (id int, gone boolean NOT NULL DEFAULT false);
SELECT count(*) FROM orm_ext.enable_soft_delete('fresh'), orm_ext.enable_soft_delete('keyless', 'gone') AS k;
SELECT * FROM orm_ext.create_publication('live', '{fresh}', 'index');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM orm_ext.create_publication('live', '{keyless}', 'index');

--
-- What is refused
--
SELECT * FROM orm_ext.create_publication('live', '{}');
SELECT * FROM orm_ext.create_publication('live', NULL);
SELECT * FROM orm_ext.create_publication(NULL, '{plain}');
SELECT * FROM orm_ext.create_publication('live', '{plain,NULL}');
SELECT * FROM orm_ext.create_publication('live', '{plain}', 'key');
CREATE VIEW view AS TABLE plain;
SELECT * FROM orm_ext.create_publication('live', '{view}');
CREATE PUBLICATION live;
SELECT * FROM orm_ext.create_publication('live', '{fresh}');
\echo :LAST_ERROR_SQLSTATE
SELECT identities('fresh');
DROP PUBLICATION live;
GRANT USAGE ON SCHEMA pub TO regress_orm_publisher;
SET ROLE regress_orm_publisher;
SELECT * FROM orm_ext.create_publication('live', '{fresh}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM orm_ext.create_publication('live', '{plain}');
RESET ROLE;
SELECT count(*) FROM pg_publication WHERE pubname = 'live';

DROP SCHEMA pub CASCADE;
DROP ROLE regress_orm_publisher;
