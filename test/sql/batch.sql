--
-- Batched jobs do what one UPDATE or DELETE does, each row once, whatever the
-- table is like.  Everything is done twice: in schema batch by jobs of many
-- small batches, in schema twin by the plain statement.
--
CREATE SCHEMA batch;
CREATE SCHEMA twin;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
\pset format unaligned
\pset tuples_only on

-- The rows that differ between the two schemas, or "equal".
CREATE FUNCTION compare.tables(name text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(d, E''\n'') FROM (
		SELECT ''only in batch: '' || differing::text FROM (SELECT split_part(tableoid::regclass::text, ''.'', 2), t.* FROM batch.%1$I AS t EXCEPT ALL SELECT split_part(tableoid::regclass::text, ''.'', 2), t.* FROM twin.%1$I AS t) AS differing
		UNION ALL
		SELECT ''only in twin: '' || differing::text FROM (SELECT split_part(tableoid::regclass::text, ''.'', 2), t.* FROM twin.%1$I AS t EXCEPT ALL SELECT split_part(tableoid::regclass::text, ''.'', 2), t.* FROM batch.%1$I AS t) AS differing) AS d (d)', name) INTO result;
	RETURN coalesce(result, 'equal');
END
$$;

-- Do the same in both schemas, and compare.
CREATE PROCEDURE compare.jobs(kind text, name text, set text, condition text, by text DEFAULT 'auto', batch_size int DEFAULT 7, verify boolean DEFAULT true)
LANGUAGE plpgsql AS $$
DECLARE
	this bigint;
	rows_by_statement bigint;
	told record;
BEGIN
	PERFORM set_config('search_path', 'batch', false);
	IF kind = 'update' THEN
		CALL orm_ext.batch_update(name::regclass, set, condition, batch_size => jobs.batch_size, by => jobs.by, verify => jobs.verify, job => this);
	ELSE
		CALL orm_ext.batch_delete(name::regclass, condition, batch_size => jobs.batch_size, by => jobs.by, verify => jobs.verify, job => this);
	END IF;
	PERFORM set_config('search_path', 'twin', false);
	EXECUTE CASE kind WHEN 'update' THEN format('UPDATE %I SET %s', name, set) ELSE format('DELETE FROM %I', name) END
		|| coalesce(E'\nWHERE ' || condition, '');
	GET DIAGNOSTICS rows_by_statement = ROW_COUNT;
	PERFORM set_config('search_path', '"$user", public', false);
	SELECT j.state, j.by AS way, j.rows_done FROM orm_ext.batch_jobs AS j WHERE j.job = this INTO told;
	RAISE NOTICE '% %: % by %, % of % rows: %', kind, name, told.state, told.way, told.rows_done, rows_by_statement, compare.tables(name);
END
$$;

-- Run statements in both schemas.
CREATE PROCEDURE compare.in_batch_and_twin(statements text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'batch', true);
	EXECUTE statements;
	PERFORM set_config('search_path', 'twin', true);
	EXECUTE statements;
END
$$;

--
-- Keys of all kinds
--
CREATE TYPE compare.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN compare.code AS text CHECK (VALUE <> '');
CALL compare.in_batch_and_twin($$
	CREATE TABLE plain (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, done boolean, title text);
	INSERT INTO plain (id, title) SELECT i * 3, 'title ' || i FROM generate_series(-20, 40) AS i;
	CREATE TABLE by_uuid (id uuid PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_uuid SELECT md5(i::text)::uuid FROM generate_series(1, 50) AS i;
	CREATE TABLE by_text (id text PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_text SELECT chr(65 + i % 26) || E' \'\\' || i FROM generate_series(1, 50) AS i;
	CREATE TABLE by_varchar (id varchar(10) PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_varchar SELECT 'a' || i FROM generate_series(1, 50) AS i;
	CREATE TABLE by_domain (id compare.code PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_domain SELECT 'a' || i FROM generate_series(1, 50) AS i;
	CREATE TABLE by_enum (id compare.mood, i int, n int DEFAULT 0, PRIMARY KEY (id, i));
	INSERT INTO by_enum SELECT enum_first(NULL::compare.mood), i FROM generate_series(1, 20) AS i UNION ALL SELECT 'happy', i FROM generate_series(1, 20) AS i;
	CREATE TABLE by_time (id timestamptz PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_time SELECT '2020-01-01'::timestamptz + i * '1.000001 s'::interval FROM generate_series(1, 30) AS i UNION ALL VALUES ('-infinity'::timestamptz), ('infinity');
	CREATE TABLE by_float (id float8 PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_float SELECT 1.0 / i FROM generate_series(1, 30) AS i UNION ALL VALUES ('NaN'::float8), ('-Infinity'), (0);
	CREATE TABLE by_numeric (id numeric PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_numeric SELECT i / 7.0 FROM generate_series(-15, 15) AS i UNION ALL VALUES ('NaN'::numeric);
	CREATE TABLE by_bytea (id bytea PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_bytea SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 30) AS i UNION ALL VALUES (''::bytea);
	CREATE TABLE by_array (id int[] PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO by_array SELECT ARRAY[i % 3, i] FROM generate_series(1, 30) AS i UNION ALL VALUES ('{}'::int[]), ('{NULL}');
	CREATE TABLE composite ("Tenant" text, b int, "c d" date, n int DEFAULT 0, PRIMARY KEY ("Tenant", b, "c d"));
	INSERT INTO composite SELECT 'tenant ' || i % 3, i % 10, '2020-01-01'::date + i FROM generate_series(1, 90) AS i;
	CREATE TABLE no_primary (a int NOT NULL, b int UNIQUE, c int NOT NULL, n int DEFAULT 0, UNIQUE (a, c));
	INSERT INTO no_primary SELECT i % 5, nullif(i, 7), i FROM generate_series(1, 40) AS i;
	CREATE TABLE empty (id int PRIMARY KEY, n int);
	CREATE TABLE one (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO one VALUES (1);
	CREATE TABLE "select" ("order" int PRIMARY KEY, "from" int DEFAULT 0);
	INSERT INTO "select" SELECT i FROM generate_series(1, 20) AS i;
$$);

CALL compare.jobs('update', 'plain', 'n = n + 1', NULL);
CALL compare.jobs('update', 'plain', 'n = n + 1', 'id % 2 = 0');
CALL compare.jobs('update', 'plain', 'n = n + 1', NULL, batch_size => 1);
CALL compare.jobs('update', 'plain', 'n = n + 1', NULL, batch_size => 61);
CALL compare.jobs('update', 'plain', 'n = n + 1', NULL, batch_size => 1000000);
CALL compare.jobs('update', 'plain', 'n = n + 1', 'false');
CALL compare.jobs('update', 'plain', 'n = n + 1', 'NULL');
CALL compare.jobs('update', 'by_uuid', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_text', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_varchar', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_domain', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_enum', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_time', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_float', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_numeric', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_bytea', 'n = n + 1', NULL);
CALL compare.jobs('update', 'by_array', 'n = n + 1', NULL);
CALL compare.jobs('update', 'composite', 'n = n + 1', NULL);
CALL compare.jobs('update', 'composite', 'n = n + 1', '"Tenant" = ''tenant 1''');
CALL compare.jobs('update', 'no_primary', 'n = n + 1', NULL);
CALL compare.jobs('update', 'empty', 'n = n + 1', NULL);
CALL compare.jobs('update', 'one', 'n = n + 1', NULL);
CALL compare.jobs('update', 'select', '"from" = "from" + 1', NULL);

--
-- What SET and condition may be
--
CALL compare.jobs('update', 'plain', '(n, title) = (n + 1, plain.title || ''!'')', 'plain.id > 6');
CALL compare.jobs('update', 'plain', '(n, title) = (SELECT count(*), max(u.id::text) FROM by_uuid AS u WHERE u.n = plain.n)', NULL);
CALL compare.jobs('update', 'plain', 'n = DEFAULT', NULL);
CALL compare.jobs('update', 'plain', 'n = n + 1 -- one more', 'id > 0 -- the positive ones');
CALL compare.jobs('update', 'plain', 'n = n + 1 /* one more */', 'id > 0 OR id < -30');
CALL compare.jobs('update', 'plain', 'n = n + 1', 'EXISTS (SELECT FROM composite AS c WHERE c.b = plain.id)');
CALL compare.jobs('update', 'plain', 'n = n + 1', 'id IN (SELECT b FROM composite)');
CALL compare.jobs('update', 'plain', 'n = (SELECT count(*) FROM by_text)', 'id % 2 <> 0');

--
-- Ranges of places: rows that are done meet the condition no more
--
CALL compare.in_batch_and_twin($$UPDATE plain SET title = CASE WHEN id % 4 = 0 THEN 'Title ' || id WHEN id % 4 = 1 THEN 'TITLE ' || id END$$);
CALL compare.jobs('update', 'plain', 'done = true', 'done IS NULL');
CALL compare.jobs('update', 'plain', 'done = false', 'done');
CALL compare.jobs('update', 'plain', 'done = NULL', 'done IS NOT NULL', by => 'ctid');
CALL compare.jobs('update', 'plain', 'title = upper(title)', 'title <> upper(title)', by => 'ctid');
CALL compare.jobs('update', 'plain', 'title = lower(title)', 'title <> lower(title)', by => 'key');
CALL compare.jobs('update', 'plain', 'title = upper(title)', 'title IS DISTINCT FROM upper(title)');
CALL compare.jobs('update', 'plain', 'n = 5', 'n < 5 OR n > 5');
CALL compare.jobs('update', 'plain', 'n = coalesce(n, 0), done = true', 'done IS NOT TRUE');
CALL compare.jobs('update', 'plain', 'n = 7, done = NULL', 'n = 5 AND done');
CALL compare.jobs('delete', 'plain', 'n = 7', 'id % 2 = 0');
CALL compare.jobs('delete', 'plain', NULL, 'id % 3 = 0 AND id > 30', by => 'key');
CALL compare.jobs('delete', 'plain', NULL, NULL);
CALL compare.jobs('delete', 'composite', NULL, 'b = 3', by => 'key');
CALL compare.jobs('delete', 'by_text', NULL, 'id < ''M''');
CALL compare.jobs('delete', 'empty', NULL, NULL);

-- the table is larger than a page, and rows are spread over it
CALL compare.in_batch_and_twin($$
	CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, done boolean, body text);
	INSERT INTO large (id, body) SELECT i, repeat('x', 200 + i % 300) FROM generate_series(1, 3000) AS i ORDER BY md5(i::text);
	DELETE FROM large WHERE id % 5 = 0;
$$);
VACUUM batch.large, twin.large;
CALL compare.jobs('update', 'large', 'n = n + 1', NULL, batch_size => 100);
CALL compare.jobs('update', 'large', 'done = true', 'done IS NULL', batch_size => 100);
CALL compare.jobs('update', 'large', 'n = n + 1', NULL, batch_size => 1000);
CALL compare.jobs('update', 'large', 'done = NULL', 'done', batch_size => 1000, verify => false);
CALL compare.jobs('delete', 'large', NULL, 'id % 3 = 0', batch_size => 100);

--
-- Without a key
--
CALL compare.in_batch_and_twin($$
	CREATE TABLE keyless (a int, b int, n int DEFAULT 0);
	INSERT INTO keyless SELECT i % 7, i % 3 FROM generate_series(1, 100) AS i;
	INSERT INTO keyless SELECT * FROM keyless;
	CREATE UNIQUE INDEX ON keyless (a) WHERE a > 100;
$$);
CALL compare.jobs('delete', 'keyless', NULL, 'b = 1');
CALL compare.jobs('update', 'keyless', 'b = 7', 'b = 2');
CALL compare.jobs('update', 'keyless', 'a = a + 10', 'a < 5', batch_size => 50);
\set VERBOSITY terse
-- nothing tells what is done from what is not
CALL compare.jobs('update', 'keyless', 'n = n + 1', NULL);
CALL compare.jobs('update', 'keyless', 'n = n + 1', NULL, by => 'key');
CALL compare.jobs('update', 'keyless', 'n = n + 1', NULL, by => 'ctid');
CALL compare.jobs('delete', 'keyless', NULL, NULL, by => 'key');
-- rows meet the condition still, which is found out
CALL compare.jobs('update', 'keyless', 'n = n + 1', 'n >= 0');
RESET search_path;
SELECT compare.tables('keyless');
-- keys that do not do
CALL compare.in_batch_and_twin($$
	CREATE TABLE odd (a int NOT NULL, b int NOT NULL, c text NOT NULL, d int NOT NULL, e int, f name NOT NULL, n int DEFAULT 0,
		g int NOT NULL GENERATED ALWAYS AS (a) STORED UNIQUE, UNIQUE (d) DEFERRABLE);
	CREATE UNIQUE INDEX ON odd (a DESC);
	CREATE UNIQUE INDEX ON odd (b NULLS FIRST);
	CREATE UNIQUE INDEX ON odd (c text_pattern_ops);
	CREATE UNIQUE INDEX ON odd (c COLLATE "POSIX");
	CREATE UNIQUE INDEX ON odd (e);
	CREATE UNIQUE INDEX ON odd (f);
	CREATE UNIQUE INDEX ON odd ((a + 1));
	INSERT INTO odd SELECT i, i, i, i, i, i FROM generate_series(1, 30) AS i;
$$);
CALL compare.jobs('update', 'odd', 'n = n + 1', NULL);
CALL compare.in_batch_and_twin('CREATE UNIQUE INDEX ON odd (b) INCLUDE (a)');
CALL compare.jobs('update', 'odd', 'n = n + 1', NULL);
CALL compare.jobs('update', 'odd', 'b = b + 100', NULL);
RESET search_path;
\set VERBOSITY default

--
-- Partitions and inheritance children
--
CALL compare.in_batch_and_twin($$
	CREATE TABLE part (id int, kind text, n int DEFAULT 0, done boolean, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
	CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
	CREATE TABLE part_b (done boolean, kind text NOT NULL, n int DEFAULT 0, gone int, id int NOT NULL);
	ALTER TABLE part_b DROP COLUMN gone;
	ALTER TABLE part ATTACH PARTITION part_b FOR VALUES IN ('b');
	CREATE TABLE part_c PARTITION OF part FOR VALUES IN ('c', 'd') PARTITION BY RANGE (id);
	CREATE TABLE part_c1 PARTITION OF part_c FOR VALUES FROM (0) TO (50);
	CREATE TABLE part_c2 PARTITION OF part_c DEFAULT;
	CREATE TABLE part_x PARTITION OF part DEFAULT;
	INSERT INTO part SELECT i, chr(97 + i % 6) FROM generate_series(1, 120) AS i;

	CREATE TABLE hashed (id int PRIMARY KEY, n int DEFAULT 0) PARTITION BY HASH (id);
	CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	INSERT INTO hashed SELECT i FROM generate_series(1, 60) AS i;

	CREATE TABLE parent (id int PRIMARY KEY, n int DEFAULT 0, done boolean);
	CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
	CREATE TABLE grandchild (CONSTRAINT grandchild_key UNIQUE (id)) INHERITS (child);
	INSERT INTO parent SELECT i FROM generate_series(1, 30) AS i;
	INSERT INTO child SELECT i FROM generate_series(20, 50) AS i;
	INSERT INTO grandchild SELECT i FROM generate_series(1, 50) AS i;

	CREATE TABLE no_partition (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
$$);
CALL compare.jobs('update', 'part', 'n = n + 1', NULL);
CALL compare.jobs('update', 'part', 'done = true', 'done IS NULL');
CALL compare.jobs('update', 'part', 'n = n + 1', 'part.kind IN (''a'', ''d'')', batch_size => 3);
CALL compare.jobs('update', 'part_c', 'n = n + 1', NULL);
CALL compare.jobs('update', 'hashed', 'n = n + 1', NULL);
CALL compare.jobs('update', 'parent', 'n = n + 1', NULL);
CALL compare.jobs('update', 'parent', 'done = true', 'done IS NULL');
CALL compare.jobs('update', 'child', 'n = n + 1', NULL);
CALL compare.jobs('update', 'no_partition', 'n = 1', NULL);
-- rows that move to another partition
CALL compare.jobs('update', 'part', 'kind = ''z''', 'kind = ''a''');
CALL compare.jobs('update', 'part', 'kind = CASE kind WHEN ''b'' THEN ''c'' ELSE ''b'' END', 'kind IN (''z'', ''b'') AND done', batch_size => 1000);
RESET search_path;
\set VERBOSITY terse
CALL compare.jobs('update', 'part', 'kind = chr(ascii(kind) + 1)', NULL);
RESET search_path;
\set VERBOSITY default
CALL compare.jobs('delete', 'part', NULL, 'id % 3 = 0');
CALL compare.jobs('delete', 'parent', NULL, 'id % 3 = 0');
CALL compare.jobs('delete', 'hashed', NULL, NULL);

-- triggers for each statement, and rules, are those of the table that is named
CALL compare.in_batch_and_twin($$
	CREATE TABLE log (what text);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		IF TG_LEVEL = 'STATEMENT' THEN
			RETURN NULL;
		END IF;
		INSERT INTO log VALUES (concat_ws(' ', TG_OP, TG_TABLE_NAME, OLD.id));
		RETURN NEW;
	END
	$f$;
	CREATE TRIGGER note AFTER UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION note();
	CREATE TRIGGER note_statement AFTER UPDATE ON part FOR EACH STATEMENT EXECUTE FUNCTION note();
$$);
CALL compare.jobs('update', 'part', 'n = n + 1', 'kind <> ''d''');
CALL compare.jobs('update', 'part', 'n = n + 1', 'n > 1', by => 'key');
SELECT compare.tables('log');

-- a key of several columns, one of a type whose operators the search_path does not find: here that of integers would do it backwards
CREATE SCHEMA elsewhere;
SET search_path = elsewhere;
SET client_min_messages = warning;
CREATE TYPE backward;
CREATE FUNCTION backward_in(cstring) RETURNS backward STRICT IMMUTABLE LANGUAGE internal AS 'int4in';
CREATE FUNCTION backward_out(backward) RETURNS cstring STRICT IMMUTABLE LANGUAGE internal AS 'int4out';
RESET client_min_messages;
CREATE TYPE backward (INPUT = backward_in, OUTPUT = backward_out, LIKE = int4);
CREATE CAST (backward AS int) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (int AS backward) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE FUNCTION lt(backward, backward) RETURNS boolean STRICT IMMUTABLE LANGUAGE internal AS 'int4gt';
CREATE FUNCTION le(backward, backward) RETURNS boolean STRICT IMMUTABLE LANGUAGE internal AS 'int4ge';
CREATE FUNCTION eq(backward, backward) RETURNS boolean STRICT IMMUTABLE LANGUAGE internal AS 'int4eq';
CREATE FUNCTION ge(backward, backward) RETURNS boolean STRICT IMMUTABLE LANGUAGE internal AS 'int4le';
CREATE FUNCTION gt(backward, backward) RETURNS boolean STRICT IMMUTABLE LANGUAGE internal AS 'int4lt';
CREATE FUNCTION cmp(a backward, b backward) RETURNS int STRICT IMMUTABLE LANGUAGE sql AS 'SELECT btint4cmp(b::int, a::int)';
CREATE OPERATOR < (LEFTARG = backward, RIGHTARG = backward, FUNCTION = lt);
CREATE OPERATOR <= (LEFTARG = backward, RIGHTARG = backward, FUNCTION = le);
CREATE OPERATOR = (LEFTARG = backward, RIGHTARG = backward, FUNCTION = eq);
CREATE OPERATOR >= (LEFTARG = backward, RIGHTARG = backward, FUNCTION = ge);
CREATE OPERATOR > (LEFTARG = backward, RIGHTARG = backward, FUNCTION = gt);
CREATE OPERATOR CLASS backward_ops DEFAULT FOR TYPE backward USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp(backward, backward);
RESET search_path;
CALL compare.in_batch_and_twin($$
	CREATE TABLE there_and_back (a int, b elsewhere.backward, c int, n int NOT NULL DEFAULT 0, PRIMARY KEY (a, b, c));
	INSERT INTO there_and_back SELECT i % 3, i / 10, i FROM generate_series(1, 100) AS i;
	CREATE TABLE back_and_there (a elsewhere.backward, b elsewhere.backward, n int NOT NULL DEFAULT 0, PRIMARY KEY (a, b));
	INSERT INTO back_and_there SELECT i / 10, i FROM generate_series(1, 100) AS i;
$$);
CALL compare.jobs('update', 'there_and_back', 'n = n + 1', NULL);
CALL compare.jobs('update', 'there_and_back', 'n = n + 1', 'c % 4 > 0', batch_size => 1);
CALL compare.jobs('update', 'back_and_there', 'n = n + 1', NULL);
CALL compare.jobs('delete', 'there_and_back', NULL, 'c % 7 = 0', by => 'key');

SET client_min_messages = warning;
DROP SCHEMA batch, twin, elsewhere CASCADE;
TRUNCATE orm_ext.batch_job RESTART IDENTITY;
DROP FUNCTION compare.tables(text);
DROP PROCEDURE compare.jobs, compare.in_batch_and_twin;
DROP TYPE compare.mood;
DROP DOMAIN compare.code;
