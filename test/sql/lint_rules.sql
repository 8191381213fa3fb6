--
-- lint(): foreign keys, indexes, integrity, types.  For each rule what it
-- finds and, next to it, what looks alike and is right.  In the end the fixes
-- are run, and what they are for is gone.
--
CREATE SCHEMA shop;
SET search_path = shop;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
-- to plan lint() without caches takes minutes
SET debug_discard_caches = 0;
-- names are judged in lint_naming
UPDATE orm_ext.lint_rule SET enabled = category <> 'naming' WHERE enabled;

--
-- fk_without_index
--
CREATE TABLE region (code text, country text, PRIMARY KEY (code, country));
CREATE TABLE parent (id bigint PRIMARY KEY, code text UNIQUE);
-- not found: any order, more columns after it, NULLs left out, hash, another operator class, the primary key
CREATE TABLE served (
	id bigint PRIMARY KEY REFERENCES parent,
	a text, b text, x int,
	in_order bigint REFERENCES parent,
	partly bigint REFERENCES parent,
	hashed bigint REFERENCES parent,
	pattern text REFERENCES parent (code),
	FOREIGN KEY (a, b) REFERENCES region
);
CREATE INDEX ON served (b, a, x);
CREATE INDEX ON served (in_order) INCLUDE (x);
CREATE INDEX ON served (partly) WHERE partly IS NOT NULL;
CREATE INDEX ON served USING hash (hashed);
CREATE INDEX ON served (pattern text_pattern_ops);
CREATE TABLE served_partly (a text, b text, id bigint PRIMARY KEY, FOREIGN KEY (a, b) REFERENCES region);
CREATE INDEX ON served_partly (a, b) WHERE a IS NOT NULL AND b IS NOT NULL;
-- found: none, only included, second, partial by something else or too much, not for equality, an expression
CREATE TABLE bare (id bigint PRIMARY KEY, parent_id bigint REFERENCES parent);
CREATE TABLE "Odd ""name" (id bigint PRIMARY KEY, "parent's id" bigint CONSTRAINT "odd % fkey" REFERENCES parent);
CREATE TABLE unserved (
	id bigint PRIMARY KEY,
	a text, b text, x int,
	included bigint REFERENCES parent,
	second bigint REFERENCES parent,
	positive bigint REFERENCES parent,
	other bigint REFERENCES parent,
	either bigint REFERENCES parent,
	lossy bigint REFERENCES parent,
	computed bigint REFERENCES parent,
	FOREIGN KEY (a, b) REFERENCES region
);
CREATE INDEX ON unserved (a, x, b);
CREATE INDEX ON unserved (b) INCLUDE (a);
CREATE INDEX ON unserved (x) INCLUDE (included);
CREATE INDEX ON unserved (id, second);
CREATE INDEX ON unserved (positive) WHERE positive > 0;
CREATE INDEX ON unserved (other) WHERE other IS NOT NULL AND x IS NOT NULL;
CREATE INDEX ON unserved (either) WHERE either IS NOT NULL OR x IS NOT NULL;
CREATE INDEX ON unserved USING brin (lossy);
CREATE INDEX ON unserved ((computed + 0));
-- numbers of columns that are alike as texts: 1 and 10, (1, 1x) and (11, x)
CREATE TABLE many (
	c1 bigint REFERENCES parent, c2 int, c3 int, c4 int, c5 int, c6 int, c7 int, c8 int, c9 int,
	c10 bigint REFERENCES parent, c11 bigint REFERENCES parent, id bigint PRIMARY KEY
);
CREATE INDEX ON many (c10, c1);
CREATE INDEX ON many (c11, c2);
-- one index would serve both, so one finding
CREATE TABLE twice (id bigint PRIMARY KEY, a text, b text,
	CONSTRAINT twice_1 FOREIGN KEY (a, b) REFERENCES region,
	CONSTRAINT twice_2 FOREIGN KEY (b, a) REFERENCES region (code, country));
-- partitions: once, at the parent, unless it is their own
CREATE TABLE event (id bigint, parent_id bigint REFERENCES parent, own bigint, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (100);
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE event_2_1 PARTITION OF event_2 FOR VALUES FROM (100) TO (150);
ALTER TABLE event_1 ADD FOREIGN KEY (own) REFERENCES parent;
CREATE TABLE to_event (id bigint PRIMARY KEY, event_id bigint REFERENCES event);
SELECT object, fix FROM orm_ext.lint('shop') WHERE rule = 'fk_without_index';
SELECT DISTINCT severity, category, message, key FROM orm_ext.lint('shop') WHERE object = 'shop.bare.bare_parent_id_fkey';
-- what there is from 18 on: not enforced, with PERIOD, NOT NULL that is not validated
SELECT current_setting('server_version_num')::int >= 180000 AS is_18 \gset
\if :is_18
CREATE TABLE rules_of_18 (id bigint PRIMARY KEY, parent_id bigint REFERENCES parent NOT ENFORCED, a int CHECK (a > 0) NOT ENFORCED, b int);
ALTER TABLE rules_of_18 ADD CONSTRAINT not_valid NOT NULL b NOT VALID;
CREATE TABLE room (no int4range, during daterange, PRIMARY KEY (no, during WITHOUT OVERLAPS));
CREATE TABLE booking (id bigint PRIMARY KEY, no int4range, during daterange, FOREIGN KEY (no, PERIOD during) REFERENCES room (no, PERIOD during));
\endif
SELECT coalesce(string_agg(key, ' '), '') = CASE WHEN :'is_18' THEN 'constraint_not_valid:shop.rules_of_18.not_valid' ELSE '' END
FROM orm_ext.lint('shop') WHERE object ~ 'rules_of_18|room|booking';
DROP TABLE IF EXISTS rules_of_18, booking, room;

--
-- duplicate_index, redundant_index: one finding for an index
--
CREATE TABLE copy (id bigint PRIMARY KEY, a int NOT NULL, b int, c text, d int[]);
CREATE INDEX copy_a ON copy (a);
CREATE INDEX copy_a_again ON copy (a);
CREATE INDEX copy_ab ON copy (a, b);			-- copy_a is the beginning of this, too
CREATE INDEX copy_id ON copy (id);				-- as the primary key
CREATE UNIQUE INDEX copy_c_unique ON copy (c);
CREATE INDEX copy_c ON copy (c);				-- as the unique one
CREATE UNIQUE INDEX copy_c_unique_2 ON copy (c) NULLS NOT DISTINCT;	-- stricter: this one stays
CREATE INDEX copy_lower ON copy (lower(c)) WHERE a > 0;
CREATE INDEX copy_lower_again ON copy (lower(c)) WHERE a > 0;
CREATE INDEX copy_d ON copy USING gin (d);
CREATE INDEX copy_d_again ON copy USING gin (d);
CREATE INDEX copy_b ON copy (b) INCLUDE (c, a);
CREATE INDEX copy_b_again ON copy (b) INCLUDE (c, a) WITH (fillfactor = 70);
ALTER TABLE copy ADD CONSTRAINT copy_id_key UNIQUE (id);
CREATE UNIQUE INDEX copy_id_idx ON copy (id);
-- not the same: operator class, collation, order, nulls, predicate, included columns, options that matter, what a constraint needs
CREATE TABLE distinct_ (id bigint PRIMARY KEY, a text, b int, c text, n int, e int UNIQUE DEFERRABLE, f int UNIQUE);
CREATE INDEX distinct_1 ON distinct_ (a);
CREATE INDEX distinct_2 ON distinct_ (a text_pattern_ops, b);
CREATE INDEX distinct_3 ON distinct_ (a COLLATE "C", c);
CREATE INDEX distinct_4 ON distinct_ (a DESC, n);
CREATE INDEX distinct_5 ON distinct_ (a NULLS FIRST, n);
CREATE INDEX distinct_6 ON distinct_ (a, b) WHERE b > 0;
CREATE INDEX distinct_7 ON distinct_ USING hash (a);
CREATE INDEX distinct_8 ON distinct_ USING brin (b) WITH (pages_per_range = 4);
CREATE INDEX distinct_9 ON distinct_ USING brin (b) WITH (pages_per_range = 64);
CREATE INDEX distinct_10 ON distinct_ (b) INCLUDE (c);
CREATE INDEX distinct_11 ON distinct_ (b, n);
CREATE INDEX distinct_12 ON distinct_ ((b + 1));
CREATE INDEX distinct_13 ON distinct_ ((b + 2));
CREATE UNIQUE INDEX distinct_14 ON distinct_ (c);
CREATE INDEX distinct_15 ON distinct_ (c, n);
CREATE UNIQUE INDEX distinct_16 ON distinct_ (e);	-- the constraint cannot be had by ON CONFLICT
CREATE TABLE refers (id bigint PRIMARY KEY, f int REFERENCES distinct_ (f));
CREATE INDEX ON refers (f);
ALTER TABLE distinct_ ADD EXCLUDE USING btree (n WITH =), ADD EXCLUDE (n WITH =);
-- redundant: the beginning, with what it includes
CREATE TABLE prefix (id bigint PRIMARY KEY, a int, b int, c int, c1 int, c2 int, c3 int, c4 int, c5 int, a1 int, a11 int);
CREATE INDEX prefix_a ON prefix (a);
CREATE INDEX prefix_ab ON prefix (a, b);
CREATE INDEX prefix_abc ON prefix (a, b, c);
CREATE INDEX prefix_ac ON prefix (a, c);
CREATE INDEX prefix_a1 ON prefix (a1);			-- 'a1' begins with 'a'
CREATE INDEX prefix_b ON prefix (b) INCLUDE (c);
CREATE INDEX prefix_bc ON prefix (b, c1) INCLUDE (c);
CREATE INDEX prefix_bac ON prefix (b) INCLUDE (a);	-- no index holds (b) with a
CREATE INDEX prefix_c ON prefix (c) WHERE a > 0;
CREATE INDEX prefix_cb ON prefix (c, b) WHERE a > 0;
CREATE INDEX prefix_c4 ON prefix (c4);
CREATE INDEX prefix_c4_expression ON prefix (c4, (c5 + 1));
CREATE INDEX prefix_id ON prefix (id, a);
CREATE INDEX prefix_a11 ON prefix (a11, a);
CREATE INDEX prefix_a11_included ON prefix (a11) INCLUDE (b);
CREATE INDEX prefix_a11_both ON prefix (a11) INCLUDE (b, c);
-- partitions: the parent, and a partition's own copy of what it has from there
CREATE TABLE part (id bigint PRIMARY KEY, a int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE INDEX part_a ON part (a);
CREATE INDEX part_a_again ON part (a);
CREATE INDEX part_a_id ON part (a, id);
CREATE INDEX part_1_own ON part_1 (a);
SELECT rule, object, substring(message FROM '"[^"]*"$') AS of, fix FROM orm_ext.lint('shop') WHERE rule ~ 'index$' AND rule <> 'fk_without_index';

--
-- invalid_index: no other rule looks at it, and a foreign key has its index when it is repaired
--
CREATE TABLE broken (id bigint PRIMARY KEY, a int, parent_id bigint REFERENCES parent);
INSERT INTO parent VALUES (1);
INSERT INTO broken VALUES (1, 1, 1), (2, 1, 1);
CREATE UNIQUE INDEX CONCURRENTLY broken_parent_id ON broken (parent_id);
UPDATE broken SET parent_id = NULL;
CREATE UNIQUE INDEX CONCURRENTLY broken_a_ccnew ON broken (a);
CREATE INDEX broken_a ON broken (a);
CREATE TABLE halved (id bigint PRIMARY KEY, a int) PARTITION BY RANGE (id);
CREATE TABLE halved_1 PARTITION OF halved FOR VALUES FROM (0) TO (100);
CREATE INDEX halved_a ON ONLY halved (a);
SELECT rule, object, message, fix FROM orm_ext.lint('shop') WHERE object ~ 'broken|halved';

--
-- no_primary_key
--
CREATE TABLE keyless (a int);
CREATE TABLE keyless_id (id int);
CREATE TABLE keyless_full (a int);
ALTER TABLE keyless_full REPLICA IDENTITY FULL;
CREATE TABLE keyless_index (a int NOT NULL, b int NOT NULL, c int);
CREATE UNIQUE INDEX keyless_index_c ON keyless_index (c);
CREATE UNIQUE INDEX keyless_index_b ON keyless_index (b) WHERE b > 0;
CREATE UNIQUE INDEX keyless_index_a_desc ON keyless_index (a DESC);
CREATE UNIQUE INDEX keyless_index_ab ON keyless_index (a, b);
CREATE TABLE keyless_constraint (a int NOT NULL, b int NOT NULL UNIQUE DEFERRABLE, CONSTRAINT keyless_key UNIQUE (b, a));
CREATE TABLE keyless_empty ();
CREATE TABLE keyless_parted (a int NOT NULL, b int NOT NULL, UNIQUE (a, b)) PARTITION BY RANGE (a);
CREATE TABLE keyless_parted_1 PARTITION OF keyless_parted FOR VALUES FROM (0) TO (100);
CREATE TABLE keyless_parted_bare (a int) PARTITION BY RANGE (a);
CREATE TABLE keyed_parent (id int PRIMARY KEY);
CREATE TABLE keyless_child (extra int) INHERITS (keyed_parent);
CREATE VIEW no_table AS SELECT * FROM keyless;
CREATE MATERIALIZED VIEW no_table_either AS SELECT * FROM keyless;
CREATE TEMP TABLE no_table_of_yours (a int);
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'no_primary_key';

--
-- upsert_target_missing
--
CREATE TABLE late (id int, place int, PRIMARY KEY (id) DEFERRABLE);
CREATE TABLE later (id int, "Part" int, place int, CONSTRAINT "Later key" PRIMARY KEY (id, "Part") INCLUDE (place) DEFERRABLE INITIALLY DEFERRED, UNIQUE (place) DEFERRABLE);
CREATE TABLE late_parted (id int PRIMARY KEY DEFERRABLE) PARTITION BY RANGE (id);
CREATE TABLE late_parted_1 PARTITION OF late_parted FOR VALUES FROM (0) TO (100);
-- not found: another key, also a partial one; no primary key; a key that is not deferrable
CREATE TABLE late_beside (id int PRIMARY KEY DEFERRABLE, place int UNIQUE);
CREATE TABLE late_partly (id int PRIMARY KEY DEFERRABLE, place int);
CREATE UNIQUE INDEX ON late_partly (place) WHERE id > 0;
CREATE TABLE late_unique (id int UNIQUE DEFERRABLE);
CREATE TABLE in_time (id int PRIMARY KEY NOT DEFERRABLE);
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'upsert_target_missing';
\set VERBOSITY sqlstate
SELECT FROM orm_ext.bulk_upsert('late', '[{"id": 1}]');
\set VERBOSITY default

--
-- fk_type_mismatch, duplicate_fk, constraint_not_valid
--
CREATE DOMAIN parent_ref AS bigint;
CREATE TABLE typed (
	id bigint PRIMARY KEY,
	narrow int REFERENCES parent,
	same parent_ref REFERENCES parent,
	code varchar(10) REFERENCES parent (code),
	sorted text COLLATE "C" REFERENCES parent (code),
	viewed int REFERENCES parent
);
CREATE VIEW of_typed AS SELECT viewed FROM typed;
CREATE INDEX ON typed (narrow); CREATE INDEX ON typed (same); CREATE INDEX ON typed (code); CREATE INDEX ON typed (sorted); CREATE INDEX ON typed (viewed);
CREATE TABLE linked (
	id bigint PRIMARY KEY, a text, b text, parent_id bigint, other_id bigint,
	CONSTRAINT linked_1 FOREIGN KEY (a, b) REFERENCES region,
	CONSTRAINT linked_2 FOREIGN KEY (b, a) REFERENCES region (country, code),
	CONSTRAINT linked_3 FOREIGN KEY (b, a) REFERENCES region (code, country),	-- another one
	CONSTRAINT linked_parent_1 FOREIGN KEY (parent_id) REFERENCES parent,
	CONSTRAINT linked_parent_2 FOREIGN KEY (parent_id) REFERENCES parent ON DELETE CASCADE,
	CONSTRAINT linked_other FOREIGN KEY (other_id) REFERENCES parent
);
ALTER TABLE linked ADD CONSTRAINT linked_0 FOREIGN KEY (other_id) REFERENCES parent NOT VALID;
CREATE INDEX ON linked (a, b); CREATE INDEX ON linked (parent_id); CREATE INDEX ON linked (other_id);
ALTER TABLE linked ADD CONSTRAINT linked_check CHECK (id > 0) NOT VALID;
ALTER TABLE keyed_parent ADD CONSTRAINT keyed_parent_check CHECK (id > 0) NOT VALID;
SELECT rule, object, message, fix FROM orm_ext.lint('shop') WHERE rule IN ('fk_type_mismatch', 'duplicate_fk', 'constraint_not_valid');

--
-- missing_column
--
CREATE TABLE stamped (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE unstamped (id bigint PRIMARY KEY, created_at timestamptz, updated_at date NOT NULL);
CREATE TABLE unstamped_too (id bigint PRIMARY KEY);
SELECT count(*) FROM orm_ext.lint('shop') WHERE rule = 'missing_column';
BEGIN;
INSERT INTO orm_ext.lint_required_column VALUES
	('shop', 'created_at', 'timestamptz', true, 'now()'), (NULL, 'updated_at', 'timestamp with time zone', false, NULL), ('elsewhere', 'id', 'uuid', true, NULL);
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'missing_column' AND object ~ 'stamped';
SELECT fix FROM orm_ext.lint('shop') WHERE rule = 'missing_column' AND object ~ 'stamped' \gexec
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'missing_column' AND object ~ 'stamped';
ROLLBACK;
INSERT INTO orm_ext.lint_required_column VALUES ('shop', 'id', 'no_such_type');

--
-- Types of columns
--
CREATE DOMAIN moment AS timestamp;
CREATE DOMAIN moment_of_ours AS moment;
CREATE TABLE various (
	id bigint PRIMARY KEY,
	seen_at timestamp, "seenAt" timestamp(3), flat timestamp, "format" text,
	seen timestamp[], moment moment_of_ours, moments moment[],
	fine_at timestamptz, clock time, clock_tz timetz,
	short char(2), short_array char(3)[], letter "char", padded bpchar,
	limited varchar(10), unlimited varchar, doc json, docs jsonb, price money, prices money[],
	gone timestamp
);
ALTER TABLE various DROP COLUMN gone;
CREATE TABLE various_child (more timestamp) INHERITS (various);
CREATE TABLE various_parted (id bigint, on_at timestamp, at_at timestamp, PRIMARY KEY (id, on_at)) PARTITION BY RANGE (on_at);
CREATE TABLE various_parted_1 PARTITION OF various_parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE various_used (id bigint PRIMARY KEY, a_at timestamp, b_at timestamp, c_at timestamp DEFAULT now(),
	d text GENERATED ALWAYS AS (extract(year FROM b_at)::text) STORED);
CREATE VIEW of_various AS SELECT a_at FROM various_used;
SELECT severity, rule, object, fix FROM orm_ext.lint('shop') WHERE category = 'types';
SELECT message FROM orm_ext.lint('shop') WHERE object = 'shop.various.seen_at';
UPDATE orm_ext.lint_rule SET enabled = true WHERE rule = 'varchar_limit';
SELECT rule, object, fix FROM orm_ext.lint('shop') WHERE rule = 'varchar_limit';

--
-- Sequences
--
CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code smallint);
CREATE TABLE counted_serial (id smallserial PRIMARY KEY);
CREATE TABLE counted_full (id serial PRIMARY KEY, n bigserial);
CREATE TABLE counted_by_hand (id int PRIMARY KEY);
CREATE TABLE counted_big (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int UNIQUE GENERATED ALWAYS AS IDENTITY);
SELECT setval('counted_full_id_seq', 2000000000), setval('counted_full_n_seq', 9000000000000000000), setval('counted_big_n_seq', 1500000000);
CREATE SEQUENCE fresh AS smallint START 32767;
CREATE SEQUENCE spent AS smallint;
CREATE SEQUENCE turning AS smallint CYCLE;
CREATE SEQUENCE down INCREMENT -1 MINVALUE -100;
CREATE SEQUENCE down_full INCREMENT -1 MINVALUE -9 START -9;
CREATE SEQUENCE bounded MAXVALUE 100;
SELECT setval('spent', 30000), setval('turning', 30000), setval('down', -70), setval('bounded', 71), nextval('down_full');
SELECT rule, object, message, fix FROM orm_ext.lint('shop') WHERE rule IN ('sequence_overflow', 'int_pk');
UPDATE orm_ext.lint_rule SET enabled = true WHERE rule = 'serial_column';
SELECT object, fix FROM orm_ext.lint('shop') WHERE rule = 'serial_column';
UPDATE orm_ext.lint_rule SET enabled = false WHERE rule = 'serial_column';

--
-- unused_index, which is off
--
CREATE TABLE used (id bigint PRIMARY KEY, a int, b int, parent_id bigint REFERENCES parent);
CREATE INDEX ON used (a);
CREATE INDEX ON used (b);
CREATE INDEX ON used (parent_id);
INSERT INTO used SELECT g, g FROM generate_series(1, 10) AS g;
BEGIN;
SET LOCAL enable_seqscan = off;
SELECT a FROM used WHERE a = 1;
COMMIT;
SELECT pg_stat_force_next_flush() IS NULL;
UPDATE orm_ext.lint_rule SET enabled = true WHERE rule = 'unused_index';
SELECT object, regexp_replace(message, 'since .* on', 'since … on') AS message, fix FROM orm_ext.lint('shop') WHERE rule = 'unused_index' AND object ~ 'used[.]';
UPDATE orm_ext.lint_rule SET enabled = false WHERE rule = 'unused_index';

--
-- Run the fixes.  What is left has none, or is what a fix brings about.
--
SELECT count(*) > 50 FROM orm_ext.lint('shop');
SELECT fix FROM orm_ext.lint('shop') WHERE fix IS NOT NULL \gexec
SELECT rule, object, fix FROM orm_ext.lint('shop');
SELECT indrelid::regclass, indexrelid::regclass FROM pg_index WHERE NOT indisvalid;

DELETE FROM orm_ext.lint_setting;
DROP SCHEMA shop CASCADE;
