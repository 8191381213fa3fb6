--
-- Unnamed constraints and indexes get their names when they are made.  Each
-- statement is run with the default convention; the last part asks the same
-- again with the one that is PostgreSQL's own.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CREATE FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE SERVER regress_orm_server FOREIGN DATA WRAPPER regress_orm_wrapper;
\pset format unaligned
\pset tuples_only on
SET orm_ext.naming_check = off;
SELECT count(*) FROM orm_ext.naming_template;
CALL compare.name_in_both($$
	CREATE TABLE account (
		id int PRIMARY KEY, code text UNIQUE, region text, country text,
		UNIQUE (region, country)
	);
	CREATE TABLE post (id int, a int, b int, title text, body text, span int4range, at timestamptz);
	CREATE TYPE pair AS (a int, b int);
	CREATE DOMAIN positive AS int CHECK (VALUE > 0);
$$);

--
-- CREATE TABLE
--
SELECT compare.naming('CREATE TABLE t (id int PRIMARY KEY)');
SELECT compare.naming('CREATE TABLE t (id int, a int, PRIMARY KEY (id, a))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, b int UNIQUE NULLS NOT DISTINCT)');
SELECT compare.naming('CREATE TABLE t (a int, b int, c int, UNIQUE (b, a), UNIQUE NULLS NOT DISTINCT (c, a))');
SELECT compare.naming('CREATE TABLE t (a int, b int, UNIQUE (a) INCLUDE (b))');
SELECT compare.naming('CREATE TABLE t (a int, b int, c int, PRIMARY KEY (b) INCLUDE (a, c))');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account, b text REFERENCES account (code))');
SELECT compare.naming('CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES account)');
SELECT compare.naming('CREATE TABLE t (r text, c text, FOREIGN KEY (r, c) REFERENCES account (region, country))');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE DEFERRABLE, b int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)');
SELECT compare.naming('CREATE TABLE t (span int4range, EXCLUDE USING gist (span WITH &&))');
SELECT compare.naming('CREATE TABLE t (a int, b int, EXCLUDE (a WITH =, b WITH =) WHERE (a > 0) DEFERRABLE)');
SELECT compare.naming('CREATE TABLE t (a int, b int, EXCLUDE (abs(a) WITH =, b WITH =))');
SELECT compare.naming('CREATE TABLE t (a int, b int, EXCLUDE ((a + b) WITH =))');
SELECT compare.naming('CREATE TABLE t (id int PRIMARY KEY, parent_id int REFERENCES t)');
SELECT compare.naming('CREATE TABLE t (a int, b int, c int, d int, PRIMARY KEY (a, b), FOREIGN KEY (c, d) REFERENCES t)');
SELECT compare.naming('CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)');
SELECT compare.naming('CREATE TABLE t (id serial PRIMARY KEY, n bigserial UNIQUE)');
SELECT compare.naming('CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED UNIQUE CHECK (b > 0))');
SELECT compare.naming('CREATE TABLE t (a positive UNIQUE, b positive CHECK (b < 9))');
SELECT compare.naming('CREATE TABLE t (a pair UNIQUE, CHECK ((a).b > 0))');
SELECT compare.naming('CREATE UNLOGGED TABLE t (a int UNIQUE)');
SELECT compare.naming('CREATE TABLE IF NOT EXISTS t (a int UNIQUE, b int CHECK (b > 0))');
SELECT compare.naming('CREATE TABLE IF NOT EXISTS post (a int UNIQUE, b int CHECK (b > 0))');
SELECT compare.naming('CREATE TABLE t ()');
SELECT compare.naming('CREATE TABLE t AS SELECT 1 AS a');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE) WITH (fillfactor = 70)');
SELECT compare.naming('CREATE TABLE t (a int NOT NULL, b int NULL UNIQUE DEFAULT 1)');
-- in a schema that is named, whatever the search path
SELECT compare.naming('SET LOCAL search_path = pg_catalog; CREATE TABLE here.t (a int UNIQUE, b int REFERENCES here.account); CREATE INDEX ON here.t (b)');
SELECT compare.naming('SET LOCAL search_path = ''''; CREATE TABLE here.t (a int UNIQUE, b int REFERENCES here.account); ALTER TABLE here.t ADD CHECK (a > 0)');
SELECT compare.naming('SET LOCAL search_path = nope, public; CREATE TABLE here.t (a int UNIQUE, b int REFERENCES here.account)');

-- names as they are, without quotes
SELECT compare.naming('CREATE TABLE "Post Tag" (id int PRIMARY KEY, "Title" text UNIQUE, "a.b" int REFERENCES account, CHECK ("a.b" > 0))');
SELECT compare.naming('CREATE TABLE "it""s" ("""" int UNIQUE, "''" int CHECK ("''" > 0)); CREATE INDEX ON "it""s" ("''")');
SELECT compare.naming('CREATE TABLE "%(table_name)s" ("%" int UNIQUE, "%%" int UNIQUE, "%s" int CHECK ("%s" > 0), "%(column_0_name)s" int REFERENCES account)');
SELECT compare.naming('CREATE TABLE t ("select" int UNIQUE, "table" int CHECK ("table" > 0), " " int UNIQUE)');
SELECT compare.naming('CREATE TABLE größe ("größe in m²" int UNIQUE, 列 int CHECK (列 > 0), "😀" int REFERENCES account)');
SELECT compare.naming('CREATE TABLE UPPER (ID int PRIMARY KEY, Name text UNIQUE)');
SELECT compare.naming('CREATE TABLE "U" (U&"d\0061t" int UNIQUE)');

-- a CHECK is named by its column, if there is exactly one
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0), b int CHECK (b > 0 AND b < 9))');
SELECT compare.naming('CREATE TABLE t (a int, b int, CHECK (a > b))');
SELECT compare.naming('CREATE TABLE t (a int, b int, CHECK (b > 0), CHECK (t.a > 0))');
SELECT compare.naming('CREATE TABLE t (a int, b int CHECK (a > 0))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (true), CHECK (1 < 2))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a IN (1, 2)))');
SELECT compare.naming('CREATE TABLE t (a text CHECK (a = ANY (ARRAY[''a'', ''b'']) OR a IS NULL))');
SELECT compare.naming('CREATE TABLE t (a text CHECK (CASE WHEN a > ''a'' COLLATE "C" THEN lower(a) = a ELSE a LIKE ''b%'' END))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (t IS NOT NULL))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (t.* IS NOT NULL))');
SELECT compare.naming('CREATE TABLE t (a int, b int, CHECK (ROW(a, b) IS NOT NULL))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (ROW(t.*) IS NOT NULL))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (t = t))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (t IS NOT NULL AND a > 0))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK ((t).a > 0))');
SELECT compare.naming('CREATE TABLE t (a int, b int, CHECK ((t).a > b))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (a(t) > 0))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (tableoid > 0))');
SELECT compare.naming('CREATE TABLE t (a int, CHECK (tableoid > 0 AND a > 0))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (current_user <> ''x''))');
SELECT compare.naming('CREATE TABLE t (a pair, CHECK ((a).b > (a).a))');
SELECT compare.naming('CREATE TABLE t (a pair, CHECK ((t.a).b > 0))');
SELECT compare.naming('CREATE TABLE t (a int[], i int, CHECK (a[1] > 0), CHECK (a[i] > 0))');
SELECT compare.naming('CREATE TABLE a (a int CHECK (a > 0))');
SELECT compare.naming('CREATE TABLE a (b int CHECK (a.b > 0))');
SELECT compare.naming('CREATE TABLE t (t int CHECK (t > 0))');
SELECT compare.naming('CREATE TABLE t (t pair, CHECK ((t).a > 0))');
SELECT compare.naming('CREATE TABLE here.t (a int CHECK (here.t.a > 0))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0) NO INHERIT)');
SELECT compare.naming('CREATE TABLE t (a int CHECK ((SELECT true)))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (nope > 0))');
SELECT compare.naming('CREATE TABLE t (a text CHECK (a IS NORMALIZED), b int CHECK (b::bigint::text <> ''''))');
SELECT compare.naming('CREATE TABLE t (a date CHECK (extract(year FROM a) > 2000), b text CHECK (overlay(b placing ''x'' from 1) <> b))');
SELECT compare.naming('CREATE TABLE t (a date CHECK (a BETWEEN ''2001-01-01'' AND ''2002-01-01''), b int CHECK (b IS DISTINCT FROM 1))');
SELECT compare.naming('CREATE TABLE t (a timestamptz CHECK (a AT TIME ZONE ''UTC'' > ''2001-01-01''), b int CHECK (NULLIF(b, 1) > COALESCE(b, 2)))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (GREATEST(a, 1) = a), b boolean CHECK (b IS TRUE), c boolean CHECK (NOT c), d boolean CHECK (d))');
SELECT compare.naming('CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED CHECK (b > 0))');
SELECT compare.naming('CREATE TABLE t (a xml CHECK (xmlexists(''/a'' PASSING BY REF a)))');
SELECT compare.naming('CREATE TABLE t (a int[], CHECK (0 < ALL (a)), CHECK (array_position(a, NULL) IS NULL))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a BETWEEN SYMMETRIC 1 AND 2), b int[] CHECK (b[1:2] <> ''{}''), c text CHECK (COLLATION FOR (c) <> ''''))');
SELECT compare.naming('CREATE TABLE t (a date, b date, CHECK ((a, b) OVERLAPS (b, a)), CHECK ((a, a) < (''2001-01-01'', ''2001-01-01'')), CHECK (make_date(year => extract(year FROM b)::int, month => 1, day => 1) < b))');
SELECT compare.naming('CREATE TABLE t (a boolean CHECK (a IS NOT UNKNOWN), b int CHECK (-b < +1), c text CHECK (c SIMILAR TO ''a%'' ESCAPE ''#''), d text CHECK (position(''a'' IN d) > 0 AND trim(LEADING FROM d) = d))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (row_number() OVER (ORDER BY a) > 0))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (GROUPING(a) > 0))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a = DEFAULT))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a = ANY (SELECT 1)))');
SELECT compare.naming('CREATE TABLE t (a pair CHECK ((a).* IS NOT NULL))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (nope(a)))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > nope.a))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > nope.nope.t.a))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a::nope > 0))');

-- the same constraint twice is one, with the name that was given
SELECT compare.naming('CREATE TABLE t (a int UNIQUE PRIMARY KEY)');
SELECT compare.naming('CREATE TABLE t (a int PRIMARY KEY, UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE UNIQUE, UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, CONSTRAINT my_u UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT my_u UNIQUE, UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int, UNIQUE (a), CONSTRAINT my_u UNIQUE (a), CONSTRAINT your_u UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int PRIMARY KEY, CONSTRAINT my_u UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, CONSTRAINT my_p PRIMARY KEY (a))');
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT my_p PRIMARY KEY, UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT my_u UNIQUE PRIMARY KEY, b int UNIQUE CONSTRAINT my_v UNIQUE)');
SELECT compare.naming('CREATE TABLE t (a int, b int, UNIQUE (a, b), UNIQUE (b, a), CONSTRAINT my_u UNIQUE (b, a))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, UNIQUE (a) DEFERRABLE, CONSTRAINT my_u UNIQUE (a) DEFERRABLE INITIALLY DEFERRED)');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, UNIQUE NULLS NOT DISTINCT (a), CONSTRAINT my_u UNIQUE NULLS NOT DISTINCT (a))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, b int, CONSTRAINT my_u UNIQUE (a) INCLUDE (b))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, EXCLUDE (a WITH =), EXCLUDE (a WITH =), CONSTRAINT my_x EXCLUDE (a WITH =))');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, CONSTRAINT my_u UNIQUE (a) WITH (fillfactor = 70))');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account, FOREIGN KEY (a) REFERENCES account, CONSTRAINT my_f FOREIGN KEY (a) REFERENCES account)');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0) CHECK (a > 0), CONSTRAINT my_c CHECK (a > 0))');
SELECT compare.naming('CREATE TABLE t (a int, b int PRIMARY KEY, PRIMARY KEY (a))');

-- explicit names are left alone
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT my_1 UNIQUE, b int CONSTRAINT my_2 CHECK (b > 0), c int CONSTRAINT my_3 REFERENCES account, d int CONSTRAINT my_4 PRIMARY KEY)');
SELECT compare.naming('CREATE TABLE t (a int, CONSTRAINT my_1 EXCLUDE (a WITH =), CONSTRAINT my_2 CHECK (a > 0), UNIQUE (a))');
SELECT compare.naming('CREATE INDEX my_x ON post (a)');
SELECT compare.naming('ALTER TABLE post ADD CONSTRAINT my_x UNIQUE (a), ADD UNIQUE (b), ADD COLUMN c int CONSTRAINT my_y CHECK (c > 0) UNIQUE');

--
-- LIKE, PARTITION OF, INHERITS, OF
--
CALL compare.name_in_both($$
	CREATE TABLE source (
		id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int UNIQUE, b int CHECK (b > 0), c int REFERENCES account,
		d int CONSTRAINT my_sane CHECK (d < 9), CHECK (a < b), UNIQUE (a, b), EXCLUDE (c WITH =)
	);
	CREATE INDEX ON source (b, c) INCLUDE (a);
	CREATE INDEX ON source (lower(a::text), c);
	CREATE UNIQUE INDEX my_by_c ON source (c) WHERE a > 0;
	CREATE STATISTICS source_a_b ON a, b FROM source;
	CREATE TABLE other (c int, d int, UNIQUE (c, d));
	CREATE TABLE parent (id int PRIMARY KEY, a int CHECK (a > 0), b int UNIQUE, CHECK (a < b));
	CREATE TABLE measure (id int, at date, a int CHECK (a > 0), b int, PRIMARY KEY (at, id), UNIQUE (b, at), FOREIGN KEY (a) REFERENCES account) PARTITION BY RANGE (at);
	CREATE INDEX ON measure (a, b);
	CREATE INDEX ON measure (abs(a), at);
$$);
SELECT compare.naming('CREATE TABLE t (LIKE source)');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING ALL)');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING INDEXES)');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING CONSTRAINTS, CHECK (a > 0))');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING ALL EXCLUDING INDEXES, UNIQUE (c))');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING INDEXES, UNIQUE (a), e int UNIQUE)');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING INDEXES, CONSTRAINT my_u UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t (LIKE source INCLUDING INDEXES, UNIQUE (a, c))');
SELECT compare.naming('CREATE TABLE t (LIKE account INCLUDING ALL, LIKE other INCLUDING INDEXES)');
SELECT compare.naming('CREATE TABLE t (LIKE account INCLUDING ALL, LIKE pair, CHECK (a < b))');
SELECT compare.naming('CREATE TABLE t (LIKE measure INCLUDING ALL)');
SELECT compare.naming('CREATE TABLE t () INHERITS (parent)');
SELECT compare.naming('CREATE TABLE t (c int UNIQUE, CHECK (a <> 5), UNIQUE (b), PRIMARY KEY (id)) INHERITS (parent)');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 1)) INHERITS (parent)');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0)) INHERITS (parent, account)');
SELECT compare.naming('CREATE TABLE t OF pair (PRIMARY KEY (a), b WITH OPTIONS UNIQUE CHECK (b > 0), CHECK (a < b))');
SELECT compare.naming('CREATE TABLE t OF pair (a UNIQUE REFERENCES account, FOREIGN KEY (b) REFERENCES account)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure FOR VALUES FROM (''2001-01-01'') TO (''2002-01-01'')');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure (b CHECK (b > 0) UNIQUE, CHECK (b > a), UNIQUE (id, b)) DEFAULT');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure (UNIQUE (b, at), FOREIGN KEY (a) REFERENCES account) DEFAULT');
SELECT compare.naming('CREATE TABLE l (a int, b int, UNIQUE (b, a)) PARTITION BY LIST (b); CREATE TABLE m PARTITION OF l (CHECK (a > 0)) DEFAULT PARTITION BY LIST (b); CREATE TABLE n PARTITION OF m (UNIQUE (a)) DEFAULT');
SELECT compare.naming('CREATE TABLE t (a int, b int, PRIMARY KEY (a, b)) PARTITION BY HASH (a)');
SELECT compare.naming('CREATE TABLE m (LIKE measure INCLUDING ALL); ALTER TABLE measure ATTACH PARTITION m DEFAULT');
SELECT compare.naming('CREATE TABLE m (LIKE measure INCLUDING CONSTRAINTS); ALTER TABLE measure ATTACH PARTITION m DEFAULT');
SELECT compare.naming('CREATE FOREIGN TABLE f (a int CHECK (a > 0), b int, CHECK (a < b), CHECK (b > 0)) SERVER regress_orm_server');
SELECT compare.naming('CREATE FOREIGN TABLE f (a int UNIQUE) SERVER regress_orm_server');
SELECT compare.naming('CREATE FOREIGN TABLE f (a int, PRIMARY KEY (a)) SERVER regress_orm_server');
SELECT compare.naming('CREATE FOREIGN TABLE f () INHERITS (parent) SERVER regress_orm_server');
SELECT compare.naming('CREATE TABLE m (at date, a int CHECK (a > 0)) PARTITION BY RANGE (at); CREATE FOREIGN TABLE f PARTITION OF m (CHECK (a < 9)) DEFAULT SERVER regress_orm_server');

--
-- ALTER TABLE
--
SELECT compare.naming('ALTER TABLE post ADD PRIMARY KEY (id)');
SELECT compare.naming('ALTER TABLE post ADD PRIMARY KEY (a, id), ADD UNIQUE (a), ADD UNIQUE (b, a), ADD CHECK (a > 0), ADD CHECK (a > b), ADD FOREIGN KEY (a) REFERENCES account, ADD EXCLUDE (title WITH =, body WITH =)');
SELECT compare.naming('ALTER TABLE post ADD CHECK (a > 0) NOT VALID, ADD FOREIGN KEY (a) REFERENCES account NOT VALID');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE CHECK (c > 0) REFERENCES account, ADD c2 text REFERENCES account (code), ADD CHECK (c < a)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN id2 int GENERATED ALWAYS AS IDENTITY PRIMARY KEY');
SELECT compare.naming('ALTER TABLE post ADD COLUMN id2 serial PRIMARY KEY');
SELECT compare.naming('ALTER TABLE post ADD COLUMN IF NOT EXISTS c int UNIQUE CHECK (c > 0) REFERENCES account');
SELECT compare.naming('ALTER TABLE post ADD COLUMN IF NOT EXISTS a int UNIQUE');
SELECT compare.naming('ALTER TABLE post ADD COLUMN IF NOT EXISTS a int CHECK (a > 0)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN IF NOT EXISTS a int REFERENCES account');
SELECT compare.naming('ALTER TABLE post ADD COLUMN IF NOT EXISTS a int UNIQUE, ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE, ADD UNIQUE (c)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int, ADD COLUMN d int UNIQUE, ADD UNIQUE (c, d), ADD CHECK (c > 0)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE PRIMARY KEY, ADD COLUMN d int UNIQUE UNIQUE');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE CONSTRAINT my_u UNIQUE, ADD COLUMN d int CONSTRAINT my_v UNIQUE PRIMARY KEY');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int PRIMARY KEY, ADD UNIQUE (c), ADD CONSTRAINT my_u UNIQUE (c)');
-- ... of which PostgreSQL makes two, since they are not checked alike
BEGIN;
DELETE FROM orm_ext.naming_template;
INSERT INTO orm_ext.naming_template (kind, template) VALUES ('pk', 'pk_%(table_name)s'), ('uq', 'uq_%(table_name)s_%(column_0_name)s');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE DEFERRABLE PRIMARY KEY');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int PRIMARY KEY CONSTRAINT my_u UNIQUE DEFERRABLE, ADD COLUMN d int UNIQUE CONSTRAINT my_v UNIQUE INITIALLY DEFERRED UNIQUE DEFERRABLE');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE DEFERRABLE PRIMARY KEY DEFERRABLE, ADD COLUMN d int UNIQUE NOT DEFERRABLE UNIQUE INITIALLY IMMEDIATE');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE NULLS NOT DISTINCT PRIMARY KEY, ADD COLUMN d int UNIQUE UNIQUE NULLS NOT DISTINCT NOT NULL');
ROLLBACK;
SELECT compare.naming('ALTER TABLE post ADD UNIQUE (a), ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE IF EXISTS post ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE IF EXISTS nope ADD UNIQUE (a), ADD CHECK (b > 0)');
SELECT compare.naming('ALTER TABLE post ADD CHECK ((post).a > 0), ADD CHECK (post IS NOT NULL)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int CHECK (c > 0) CHECK (c < 9), ADD COLUMN d int CHECK (a > 0)');
-- with a column that is no more
SELECT compare.naming('ALTER TABLE post DROP COLUMN a, ADD UNIQUE (b), ADD CHECK (b > 0)');
SELECT compare.naming('ALTER TABLE post DROP COLUMN a; ALTER TABLE post ADD CHECK (b > 0); CREATE INDEX ON post (b)');
SELECT compare.naming('ALTER TABLE post DROP COLUMN a; ALTER TABLE post ADD COLUMN a text UNIQUE CHECK (a > '''')');
-- what goes in the same statement leaves its name
SELECT compare.naming('ALTER TABLE source DROP CONSTRAINT source_a_key, ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE source ADD UNIQUE (a), DROP CONSTRAINT source_a_key');
SELECT compare.naming('ALTER TABLE source DROP CONSTRAINT source_pkey, ADD PRIMARY KEY (a)');
SELECT compare.naming('ALTER TABLE source DROP CONSTRAINT source_b_check, ADD CHECK (b > 1)');
SELECT compare.naming('ALTER TABLE source DROP CONSTRAINT source_c_fkey, ADD FOREIGN KEY (c) REFERENCES account ON DELETE CASCADE');
SELECT compare.naming('ALTER TABLE source DROP COLUMN b, ADD COLUMN b int CHECK (b > 1)');
SELECT compare.naming('ALTER TABLE source DROP COLUMN c, ADD COLUMN c int REFERENCES account');
SELECT compare.naming('ALTER TABLE account DROP COLUMN code, ADD COLUMN code int UNIQUE');
SELECT compare.naming('ALTER TABLE account DROP COLUMN id, ADD COLUMN id int PRIMARY KEY');
SELECT compare.naming('ALTER TABLE account DROP COLUMN id CASCADE, ADD COLUMN id int PRIMARY KEY');
SELECT compare.naming('ALTER TABLE account DROP CONSTRAINT account_pkey CASCADE, ADD PRIMARY KEY (code), ADD COLUMN up text REFERENCES account (code)');
-- what is made anew because a type changes keeps its name
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, b int, UNIQUE (a, b), CHECK (b > 0), CHECK (a > b)); CREATE INDEX ON t (b, a); ALTER TABLE t ALTER COLUMN b TYPE bigint, ADD UNIQUE (b), ADD CHECK (a > 0)');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, b int, UNIQUE (a, b), EXCLUDE (a WITH =)); CREATE INDEX ON t (b, a); CREATE INDEX ON t ((a + 1)); ALTER TABLE t ALTER COLUMN a TYPE bigint');
SELECT compare.naming('CREATE TABLE t (a int PRIMARY KEY, b text UNIQUE); ALTER TABLE t ALTER COLUMN a TYPE bigint, ALTER COLUMN b TYPE varchar');
-- what becomes a constraint keeps its name, unless it is given one
SELECT compare.naming('CREATE UNIQUE INDEX my_by_a ON post (a); ALTER TABLE post ADD UNIQUE USING INDEX my_by_a');
SELECT compare.naming('CREATE UNIQUE INDEX ON post (a); ALTER TABLE post ADD CONSTRAINT my_x PRIMARY KEY USING INDEX post_a_idx');
SELECT compare.naming('CREATE UNIQUE INDEX my_by_a ON post (a); ALTER TABLE post ADD PRIMARY KEY USING INDEX my_by_a, ADD UNIQUE (a)');
-- inheritance and partitions
SELECT compare.naming('CREATE TABLE child () INHERITS (parent); ALTER TABLE parent ADD CHECK (b > 0), ADD UNIQUE (a), ADD COLUMN c int UNIQUE CHECK (c > 0)');
SELECT compare.naming('CREATE TABLE child () INHERITS (parent); ALTER TABLE ONLY parent ADD CHECK (b > 0) NO INHERIT, ADD UNIQUE (a)');
SELECT compare.naming('CREATE TABLE child () INHERITS (parent); ALTER TABLE ONLY parent ADD CHECK (b > 0)');
SELECT compare.naming('CREATE TABLE child (CHECK (b > 0)) INHERITS (parent); ALTER TABLE parent ADD CHECK (b > 0)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; ALTER TABLE measure ADD UNIQUE (a, at), ADD CHECK (b > 0), ADD FOREIGN KEY (b) REFERENCES account');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; ALTER TABLE ONLY measure ADD UNIQUE (a, at)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; ALTER TABLE measure ADD COLUMN c int CHECK (c > 0) REFERENCES account');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; ALTER TABLE m ADD UNIQUE (a, b), ADD CHECK (b > 0)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; CREATE TABLE t (at date, id int, FOREIGN KEY (at, id) REFERENCES measure)');
-- other ways to write it
SELECT compare.naming('CREATE FOREIGN TABLE f (a int) SERVER regress_orm_server; ALTER FOREIGN TABLE f ADD CHECK (a > 0), ADD COLUMN b int CHECK (b > 0); ALTER TABLE f ADD CHECK (a < b)');
SELECT compare.naming('CREATE TABLE t OF pair; ALTER TABLE t ADD UNIQUE (a), ADD CHECK (a < b)');
SELECT compare.naming('ALTER TABLE post ADD CONSTRAINT my_given CHECK (a > 0); ALTER TABLE post VALIDATE CONSTRAINT my_given');
SELECT compare.naming('CREATE VIEW v AS SELECT * FROM post; ALTER TABLE v ADD UNIQUE (a)');
SELECT compare.naming('CREATE VIEW v AS SELECT * FROM post; ALTER VIEW v ADD UNIQUE (a)');
SELECT compare.naming('CREATE VIEW v AS SELECT * FROM post; CREATE INDEX ON v (a)');
SELECT compare.naming('ALTER DOMAIN positive ADD CHECK (VALUE < 9)');
SELECT compare.naming('CREATE DOMAIN small AS int CHECK (VALUE < 9) CHECK (VALUE > 1); CREATE TABLE t (a small CHECK (a <> 5))');

--
-- CREATE INDEX
--
SELECT compare.naming('CREATE INDEX ON post (a)');
SELECT compare.naming('CREATE INDEX ON post (b, a DESC NULLS LAST)');
SELECT compare.naming('CREATE UNIQUE INDEX ON post (a); CREATE UNIQUE INDEX ON post (a, b)');
SELECT compare.naming('CREATE UNIQUE INDEX ON post (b) NULLS NOT DISTINCT');
SELECT compare.naming('CREATE INDEX ON post USING hash (a); CREATE INDEX ON post USING gist (span); CREATE INDEX ON post USING brin (at) WITH (pages_per_range = 8)');
SELECT compare.naming('CREATE INDEX ON post (title text_pattern_ops); CREATE INDEX ON post (body COLLATE "C")');
SELECT compare.naming('CREATE INDEX ON post (a) WHERE b > 0');
SELECT compare.naming('CREATE INDEX ON post (a) INCLUDE (b, title)');
SELECT compare.naming('CREATE INDEX ON post (lower(title))');
SELECT compare.naming('CREATE INDEX ON post ((b + id), a)');
SELECT compare.naming('CREATE INDEX ON post ((a + b), (b + a))');
SELECT compare.naming('CREATE INDEX ON post (lower(title), title)');
SELECT compare.naming('CREATE INDEX ON post (a, (a + b), b)');
SELECT compare.naming('CREATE INDEX ON post ((title || body), lower(body))');
SELECT compare.naming('CREATE INDEX ON post (coalesce(lower(title), body))');
SELECT compare.naming('CREATE INDEX ON post ((abs(b) + a))');
SELECT compare.naming('CREATE INDEX ON post ((1))');
SELECT compare.naming('CREATE INDEX ON post ((1), a)');
SELECT compare.naming('CREATE INDEX ON post ((CASE WHEN a > 0 THEN b END))');
SELECT compare.naming('CREATE INDEX ON post ((post.a), (post.b::text))');
SELECT compare.naming('CREATE INDEX ON post (((post).a))');
SELECT compare.naming('CREATE INDEX ON post ((post IS NULL))');
SELECT compare.naming('CREATE INDEX ON post ((span IS NULL), upper(span))');
SELECT compare.naming('CREATE INDEX ON post ((title COLLATE "C"))');
SELECT compare.naming('CREATE INDEX ON post (a, a)');
SELECT compare.naming('CREATE INDEX ON post (nope)');
SELECT compare.naming('CREATE INDEX ON post ((nope + a))');
SELECT compare.naming('CREATE INDEX ON post (a) INCLUDE (nope)');
SELECT compare.naming('CREATE INDEX ON nope (a)');
SELECT compare.naming('CREATE INDEX IF NOT EXISTS my_a_idx ON post (a); CREATE INDEX IF NOT EXISTS my_a_idx ON post (b)');
SELECT compare.naming('CREATE INDEX IF NOT EXISTS ON post (a)');
SELECT compare.naming('CREATE MATERIALIZED VIEW m AS SELECT * FROM post; CREATE UNIQUE INDEX ON m (a, b); CREATE INDEX ON m (title)');
SELECT compare.naming('CREATE FOREIGN TABLE f (a int) SERVER regress_orm_server; CREATE INDEX ON f (a)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; CREATE INDEX ON measure (at, a); CREATE INDEX ON m (b, a)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; CREATE UNIQUE INDEX ON measure (at, a)');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; CREATE INDEX ON ONLY measure (at); CREATE INDEX ON m (at); ALTER INDEX measure_at_idx ATTACH PARTITION m_at_idx');
SELECT compare.naming('CREATE TABLE m PARTITION OF measure DEFAULT; CREATE INDEX ON ONLY m (at, b)');
SELECT compare.naming('CREATE TABLE c () INHERITS (parent); CREATE INDEX ON parent (a, b); CREATE INDEX ON ONLY parent (b)');
SELECT compare.naming('CREATE TABLE "Weird %s.T" ("A b" int, c int); CREATE INDEX ON "Weird %s.T" ("A b", c)');

--
-- Other ways to get there
--
SELECT compare.naming($$
	CREATE TABLE t (a int UNIQUE, b int CHECK (b > 0));
	DO $do$ BEGIN CREATE TABLE u (a int REFERENCES account); CREATE INDEX ON u (a); ALTER TABLE t ADD UNIQUE (b, a); END $do$;
$$);
SELECT compare.naming($$
	DO $do$ BEGIN
		FOR i IN 1 .. 2 LOOP EXECUTE format('CREATE TABLE t%s (a int UNIQUE, b int, UNIQUE (a, b))', i); END LOOP;
		FOR i IN 1 .. 3 LOOP CREATE INDEX ON post (a); ALTER TABLE post ADD CHECK (b > 0); END LOOP;
	END $do$;
$$);
-- a statement that a function keeps is named anew each time
SELECT compare.naming($$
	CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE t (a int UNIQUE, b int, CHECK (b > 0), UNIQUE (b, a)); CREATE INDEX ON t (b); END';
	SELECT make();
	DROP TABLE t;
	CREATE TABLE t_a_key ();
	CREATE DOMAIN d AS int CONSTRAINT t_b_check CHECK (VALUE > 0);
	CREATE VIEW t_b_idx AS SELECT 1 AS a;
	SELECT make();
$$);
SELECT compare.naming($$
	CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE post ADD UNIQUE (a), ADD CHECK (a > 0), ADD FOREIGN KEY (a) REFERENCES account; CREATE INDEX ON post (a); END';
	SELECT make();
	SELECT make();
	SELECT make();
$$);
SELECT compare.naming($$
	CREATE FUNCTION make() RETURNS void LANGUAGE sql AS 'ALTER TABLE post ADD UNIQUE (a); CREATE INDEX ON post (a); CREATE TABLE IF NOT EXISTS t (a int UNIQUE);';
	SELECT make();
	SELECT make();
$$);
SELECT compare.naming($$
	CREATE PROCEDURE make(n int) LANGUAGE plpgsql AS 'BEGIN IF n > 0 THEN CREATE INDEX ON post (b); CALL make(n - 1); CREATE INDEX ON post (b); END IF; END';
	CALL make(2);
$$);
-- in another schema at the next call
SELECT compare.naming($$
	CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE bar_foo (id int UNIQUE); END';
	CREATE SCHEMA regress_orm_other;
	CREATE TABLE regress_orm_other.bar (foo_id int UNIQUE);
	SELECT set_config('search_path', 'regress_orm_other,' || current_schema, true);
	SELECT make();
	SELECT set_config('search_path', (current_schemas(false))[2], true);
	SELECT make();
	DROP SCHEMA regress_orm_other CASCADE;
$$);
-- from a trigger
SELECT compare.naming($$
	CREATE FUNCTION make() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE format(''CREATE TABLE %I (id int, a int, PRIMARY KEY (id, a), CHECK (a > 0))'', new.title); RETURN new; END';
	CREATE TRIGGER make BEFORE INSERT ON post FOR EACH ROW EXECUTE FUNCTION make();
	INSERT INTO post (title) VALUES ('one'), ('two');
$$);

-- what has gone with a savepoint, an error or a table has left its name
SELECT compare.naming($$
	CREATE TABLE t (a int UNIQUE, b int);
	DO $do$ BEGIN
		BEGIN
			ALTER TABLE t ADD UNIQUE (b), ADD CHECK (b > 0), ADD UNIQUE (nope);
		EXCEPTION WHEN undefined_column THEN NULL; END;
		BEGIN
			CREATE INDEX ON t (b);
			CREATE TABLE u (a int UNIQUE);
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN raise_exception THEN NULL; END;
	END $do$;
	CREATE INDEX ON t (b);
	CREATE TABLE u (a int UNIQUE);
	DROP TABLE u;
	CREATE TABLE u (a int UNIQUE);
	ALTER TABLE t ADD UNIQUE (b), ADD CHECK (b > 0);
$$);

-- errors are those of plain PostgreSQL
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, UNIQUE (nope))');
SELECT compare.naming('CREATE TABLE t (a int, PRIMARY KEY (nope))');
SELECT compare.naming('CREATE TABLE t (a int, FOREIGN KEY (nope) REFERENCES account)');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES nope)');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES nope.nope)');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES account (nope))');
SELECT compare.naming('CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES account (region, country))');
SELECT compare.naming('CREATE TABLE t (a int REFERENCES post)');
SELECT compare.naming('CREATE TABLE t (a int, a int UNIQUE)');
SELECT compare.naming('CREATE TABLE t (a int, UNIQUE (a, a))');
SELECT compare.naming('CREATE TABLE t (a nope UNIQUE)');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (sum(a) > 0))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (u.a > 0))');
SELECT compare.naming('CREATE TABLE t (a point, EXCLUDE (a WITH =))');
SELECT compare.naming('CREATE TABLE post (a int UNIQUE)');
SELECT compare.naming('CREATE TABLE nope.t (a int UNIQUE)');
SELECT compare.naming('CREATE TABLE nope.nope.t (a int UNIQUE)');
SELECT compare.naming('CREATE TABLE pg_catalog.t (a int UNIQUE)');
SELECT compare.naming('CREATE TABLE t (LIKE nope INCLUDING ALL, a int UNIQUE)');
SELECT compare.naming('CREATE TABLE t (a int UNIQUE) INHERITS (nope)');
SELECT compare.naming('CREATE TABLE t OF nope (UNIQUE (a))');
SELECT compare.naming('CREATE TABLE t PARTITION OF nope (UNIQUE (a)) DEFAULT');
SELECT compare.naming('CREATE TABLE t PARTITION OF post (UNIQUE (a)) DEFAULT');
SELECT compare.naming('ALTER TABLE nope ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE nope.post ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE post ADD UNIQUE (nope)');
SELECT compare.naming('ALTER TABLE post ADD COLUMN a int UNIQUE');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE, ADD COLUMN c int UNIQUE');
SELECT compare.naming('ALTER TABLE post ADD FOREIGN KEY (a) REFERENCES nope');
SELECT compare.naming('ALTER TABLE account ADD PRIMARY KEY (code)');
SELECT compare.naming('ALTER TABLE post ADD UNIQUE USING INDEX nope');
SELECT compare.naming('CREATE INDEX ON post USING nope (a)');
SELECT compare.naming('CREATE INDEX ON post (sum(a))');
SELECT compare.naming('CREATE INDEX CONCURRENTLY ON post (a)');
SELECT compare.naming('CREATE INDEX ON pg_class (relpages)');
SELECT compare.naming('ALTER TABLE pg_class ADD UNIQUE (oid)');
SELECT compare.naming('CREATE TEMPORARY TABLE here.t (a int UNIQUE)');
SELECT compare.naming('CREATE TABLE nope.here.t (a int UNIQUE)');
SELECT compare.naming('CREATE INDEX ON nope.here.post (a)');
SELECT compare.naming('ALTER TABLE nope.here.post ADD UNIQUE (a)');
SELECT compare.naming('ALTER FOREIGN TABLE post ADD CHECK (a > 0)');
SELECT compare.naming('ALTER TABLE pair ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE account_pkey ADD CHECK (id > 0)');
SELECT compare.naming('CREATE SEQUENCE number; ALTER TABLE number ADD UNIQUE (last_value)');
SELECT compare.naming('CREATE SEQUENCE number; CREATE INDEX ON number (last_value)');
SELECT compare.naming('CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; ALTER TABLE m ADD UNIQUE (a)');
SELECT compare.naming('CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; ALTER MATERIALIZED VIEW m ADD CHECK (a > 0)');
SELECT compare.naming('CREATE TABLE t (a int, PRIMARY KEY (a), UNIQUE (a), EXCLUDE (a WITH =), FOREIGN KEY (a) REFERENCES t (b))');
SELECT compare.naming('ALTER TABLE post ADD COLUMN c int UNIQUE, DROP COLUMN nope');
SELECT compare.naming('ALTER TABLE post DROP CONSTRAINT nope, ADD UNIQUE (a)');
SELECT compare.naming('ALTER TABLE post DROP CONSTRAINT IF EXISTS nope, ADD UNIQUE (a)');

-- an event trigger sees the names, and what it makes is named too
CREATE FUNCTION log_command() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	command record;
BEGIN
	FOR command IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
		IF command.command_tag = 'CREATE TABLE' AND command.object_identity ~ '[.]t$' THEN
			EXECUTE format('CREATE TABLE %s_log (a int UNIQUE, b int, CHECK (b > 0), UNIQUE (b, a))', command.object_identity);
		END IF;
	END LOOP;
END
$$;
CREATE EVENT TRIGGER regress_orm_log ON ddl_command_end EXECUTE FUNCTION log_command();
SELECT compare.naming('CREATE TABLE t (a int UNIQUE, b int CHECK (b > 0)); CREATE INDEX ON t_log (b)');
DROP EVENT TRIGGER regress_orm_log;
DROP FUNCTION log_command;

--
-- With names that are PostgreSQL's own, all but these are what it makes:
-- columns in INCLUDE do not count, an expression counts as its first column.
--
SELECT orm_ext.use_naming('all_columns', overflow => 'postgres');
\pset tuples_only off
SELECT * FROM compare.differences();
-- and with no convention at all, everything
SELECT orm_ext.use_naming('none');
\pset tuples_only on
SELECT compare.naming_of('CREATE TABLE t (a int PRIMARY KEY CHECK (a > 0), b int UNIQUE REFERENCES account, c text, CHECK (a > b), UNIQUE (a, b) INCLUDE (c), EXCLUDE ((a + b) WITH =)); CREATE INDEX ON t (lower(c), b)');
SELECT compare.naming_of('CREATE TABLE t (LIKE source INCLUDING ALL, e int UNIQUE)');
SELECT compare.naming_of('ALTER TABLE post ADD PRIMARY KEY (a, id), ADD COLUMN c int CHECK (c > 0) REFERENCES account, ADD CHECK (a > b)');
SELECT compare.naming_of('CREATE TABLE m PARTITION OF measure (UNIQUE (b)) DEFAULT; CREATE INDEX ON measure (abs(b))');
\pset tuples_only off
-- with a convention that is nothing like it, every name follows, but for CHECKs
-- that are copied, and those whose column is only found in the whole row
DELETE FROM orm_ext.naming_template;
INSERT INTO orm_ext.naming_template (kind, template) VALUES
	('pk', 'pk_%(table_name)s'), ('uq', 'uq_%(table_name)s_%(column_0_N_name)s'), ('ck', 'ck_%(table_name)s_%(constraint_name)s'),
	('fk', 'fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s_%(referred_column_0_name)s'), ('ix', 'ix_%(column_0_N_label)s'), ('ex', 'ex_%(table_name)s_%(column_0_name)s');
SELECT * FROM compare.all_objections();
DELETE FROM orm_ext.naming_template;
\pset tuples_only on

--
-- What cannot be undone inside a statement: CREATE INDEX CONCURRENTLY, and
-- transactions of one's own
--
CREATE INDEX CONCURRENTLY ON soft.post (a, b);
CREATE UNIQUE INDEX CONCURRENTLY ON soft.post (a, b);
CREATE INDEX CONCURRENTLY ON soft.post (lower(title));
INSERT INTO soft.post (a) VALUES (1), (1);
CREATE UNIQUE INDEX CONCURRENTLY ON soft.post (a);
TRUNCATE soft.post;
DROP INDEX soft.post_a_idx2;
CREATE INDEX CONCURRENTLY IF NOT EXISTS post_a_idx ON soft.post (a);
REINDEX TABLE CONCURRENTLY soft.post;
SELECT name, definition FROM compare.names('soft') WHERE "table" = 'post' ORDER BY name;
SELECT name, expected, conforms FROM orm_ext.naming_audit('soft') WHERE "table" = 'post' ORDER BY name;
SET search_path = soft;
BEGIN;
SAVEPOINT a;
CREATE TABLE t (a int UNIQUE, b int, CHECK (b > 0), UNIQUE (a, b));
ROLLBACK TO a;
CREATE TABLE t (a int UNIQUE, b int, CHECK (b > 0), UNIQUE (a, b));
SELECT name, definition FROM compare.names('soft') WHERE "table" = 't' ORDER BY object;
SAVEPOINT b;
ALTER TABLE t ADD UNIQUE (b), ADD UNIQUE (nope);
ROLLBACK TO b;
ALTER TABLE t ADD UNIQUE (b);
DROP TABLE t;
CREATE TABLE t (a int UNIQUE, b int, CHECK (b > 0), UNIQUE (a, b));
SELECT name, definition FROM compare.names('soft') WHERE "table" = 't' ORDER BY object;
COMMIT;
DROP TABLE t;
CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 2 LOOP
		CREATE TABLE t (a int UNIQUE, b int CHECK (b > 0), UNIQUE (a, b));
		COMMIT;
		RAISE NOTICE '%', (SELECT string_agg(name, ', ' ORDER BY name) FROM compare.names('soft') WHERE "table" = 't');
		DROP TABLE t;
		CREATE TABLE t (a int UNIQUE);
		ROLLBACK;
		DROP TABLE t;
	END LOOP;
END
$$;
CALL twice();
RESET search_path;

-- CREATE SCHEMA with elements, which may refer to each other; plain names last
CREATE SCHEMA regress_orm_elements
	CREATE TABLE b (id int PRIMARY KEY, a_id int UNIQUE)
	CREATE TABLE a (id int PRIMARY KEY, b_id int REFERENCES b, n int CHECK (n > 0), UNIQUE (b_id, n))
	CREATE INDEX ON a (n, b_id)
	CREATE UNIQUE INDEX ON b (a_id);
SELECT "table", name FROM compare.names('regress_orm_elements') ORDER BY "table", name;
SET client_min_messages = warning;
DROP SCHEMA regress_orm_elements CASCADE;
RESET client_min_messages;
SET orm_ext.naming_fill = off;
CREATE SCHEMA regress_orm_elements
	CREATE TABLE b (id int PRIMARY KEY, a_id int UNIQUE)
	CREATE TABLE a (id int PRIMARY KEY, b_id int REFERENCES b, n int CHECK (n > 0), UNIQUE (b_id, n))
	CREATE INDEX ON a (n, b_id)
	CREATE UNIQUE INDEX ON b (a_id);
SELECT "table", name FROM compare.names('regress_orm_elements') ORDER BY "table", name;
RESET orm_ext.naming_fill;

-- each schema has its own convention, also for elements
INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES
	('regress_orm_mine', 'pk', 'pk_%(table_name)s'), ('regress_orm_mine', 'fk', 'fk_%(table_name)s_%(column_0N_name)s__%(referred_table_name)s_%(referred_column_0_N_name)s'),
	('regress_orm_mine', 'ck', 'ck_%(table_name)s_%(constraint_name)s'), ('regress_orm_mine', 'ix', NULL), ('soft', 'uq', '100%% %(table_name)s');
CREATE SCHEMA regress_orm_mine
	CREATE TABLE b (id int, b int, PRIMARY KEY (id, b), UNIQUE (b, id))
	CREATE TABLE a (id int PRIMARY KEY CHECK (id > 0), b int, FOREIGN KEY (id, b) REFERENCES b, FOREIGN KEY (id, b) REFERENCES b (b, id), CHECK (id < b))
	CREATE INDEX ON a (id, b);
SELECT "table", name FROM compare.names('regress_orm_mine') ORDER BY "table", name;
CREATE TABLE soft.t (a int UNIQUE, b int, UNIQUE (b), PRIMARY KEY (a, b), FOREIGN KEY (a, b) REFERENCES regress_orm_mine.b);
CREATE TABLE soft.u (LIKE regress_orm_mine.b INCLUDING ALL);
-- an index goes by the schema of its table
CREATE INDEX ON soft.t (b, a);
SET search_path = regress_orm_mine;
CREATE INDEX ON soft.t (b, a);
ALTER TABLE soft.t ADD UNIQUE (a, b);
RESET search_path;
SELECT "table", name FROM compare.names('soft') WHERE "table" IN ('t', 'u') ORDER BY "table", name;
DELETE FROM orm_ext.naming_template;

-- CHECK constraints where the template does not ask for a name
INSERT INTO orm_ext.naming_template (kind, template) VALUES ('ck', 'ck_%(table_name)s_%(column_0_name)s');
CREATE TABLE soft.ck (a int CHECK (a > 0), b int, c int, CHECK (c > b), CHECK (true), CHECK (b < c AND a < b));
SELECT name, definition FROM compare.names('soft') WHERE "table" = 'ck' ORDER BY name;
DELETE FROM orm_ext.naming_template;

--
-- Left to PostgreSQL: temporary tables, and a session that is set so
--
SET search_path = soft;
CREATE TEMPORARY TABLE temporary (a int, b int, UNIQUE (a, b), FOREIGN KEY (a, b) REFERENCES temporary (a, b), CHECK (a > b));
CREATE TABLE pg_temp.temporary2 (a int, b int, UNIQUE (a, b));
CREATE INDEX ON temporary (b, a);
CREATE INDEX ON temporary ((a + b));
ALTER TABLE temporary ADD UNIQUE (b, a);
SET search_path = pg_temp, soft;
CREATE TABLE temporary3 (a int, b int, UNIQUE (a, b));
CREATE TEMPORARY TABLE temporary4 (LIKE soft.source INCLUDING ALL);
SELECT "table", n.name FROM pg_namespace, compare.names(nspname) AS n WHERE oid = pg_my_temp_schema() ORDER BY "table", n.name;
DISCARD TEMP;
SET search_path = soft;
SET orm_ext.naming_fill = off;
CREATE TABLE off (a int, b int, UNIQUE (a, b));
CREATE INDEX ON off (b, a);
SET orm_ext.naming_fill = on;
ALTER TABLE off ADD UNIQUE (b, a);
SELECT name FROM compare.names('soft') WHERE "table" = 'off' ORDER BY object;
CREATE TABLE information_schema.t (a int, b int, UNIQUE (a, b));
CREATE INDEX ON information_schema.t (a, b);
SELECT name FROM compare.names('information_schema') ORDER BY name;
DROP TABLE information_schema.t;
-- a dump being restored, as its first lines tell
BEGIN;
SET LOCAL check_function_bodies = false;
SET LOCAL row_security = off;
CREATE TABLE restored (a int, b int, UNIQUE (a, b));
SELECT name FROM compare.names('soft') WHERE "table" = 'restored';
SET LOCAL row_security = on;
CREATE INDEX ON restored (a, b);
SELECT pg_catalog.set_config('search_path', '', true);
CREATE INDEX ON soft.restored (b, a);
SET LOCAL check_function_bodies = on;
CREATE INDEX ON soft.restored (b, a);
SELECT name FROM compare.names('soft') WHERE "table" = 'restored' ORDER BY object;
ROLLBACK;

-- where the extension is not, and where it is again
BEGIN;
CREATE TABLE first (a int, b int, UNIQUE (a, b));
DROP EXTENSION orm_ext;
CREATE TABLE second (a int, b int, UNIQUE (a, b), CONSTRAINT wrong CHECK (a > 0));
ALTER TABLE second RENAME TO third;
CREATE EXTENSION orm_ext;
CREATE TABLE fourth (a int, b int, UNIQUE (a, b));
SELECT "table", name FROM compare.names('soft') WHERE "table" IN ('first', 'third', 'fourth') ORDER BY object;
ROLLBACK;
CREATE TABLE first (a int, b int, UNIQUE (a, b));
SELECT name FROM compare.names('soft') WHERE "table" = 'first';

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft, twin, regress_orm_elements, regress_orm_mine CASCADE;
DROP FOREIGN DATA WRAPPER regress_orm_wrapper CASCADE;
TRUNCATE compare.asked;
