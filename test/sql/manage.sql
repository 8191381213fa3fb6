--
-- orm_ext.manage(), unmanage(), auto_manage and the view managed: all policies
-- of a table, from the columns that it has.
--
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_client;
CREATE SCHEMA soft;
GRANT ALL ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE VIEW managed AS
	SELECT "table", policy, "column", trigger, enabled, options FROM orm_ext.managed ORDER BY "table"::text, trigger, policy, "column";

--
-- Everything
--
CREATE TABLE post (
	id int PRIMARY KEY, title text, version_id int, created_at timestamptz, updated_at timestamptz,
	created_by text, updated_by text, deleted_at timestamptz
);
SELECT * FROM orm_ext.manage('post') ORDER BY 1, 2;
TABLE managed;
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'post'::regclass ORDER BY tgname;
SET orm_ext.actor = 'anna';
INSERT INTO post (id, title) VALUES (1, 'one'), (2, 'two');
SELECT compare.changes('UPDATE post SET title = ''x'' WHERE id = 1');
SELECT compare.changes('DELETE FROM post WHERE id = 1');
SELECT left(compare.changes('UPDATE post SET title = ''x'', version_id = 7 WHERE id = 1'), 5);
-- once more is the same
SELECT * FROM orm_ext.manage('post') ORDER BY 1, 2;
TABLE managed;
-- off again: columns and rows stay
SELECT * FROM orm_ext.unmanage('post') ORDER BY 1, 2;
SELECT * FROM orm_ext.unmanage('post');
TABLE managed;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'post'::regclass;
SELECT compare.changes('UPDATE post SET title = ''x'', version_id = 7 WHERE id = 1');
SELECT compare.changes('DELETE FROM post WHERE id = 1');
-- its answers are rows like any
SELECT count(*), string_agg(policy, ' ' ORDER BY policy) FROM orm_ext.manage('post');
SELECT "column" FROM orm_ext.managed WHERE "table" = 'post'::regclass AND policy = 'version';
SELECT count(*) FROM orm_ext.unmanage('post');

--
-- What the columns are called
--
CREATE TABLE "Camel" ("Id" int PRIMARY KEY, "versionId" int, "createdAt" timestamptz, "updatedAt" timestamptz, "createdBy" text, "updatedBy" text, "deletedAt" timestamptz);
SELECT * FROM orm_ext.manage('"Camel"') ORDER BY 1, 2;
INSERT INTO "Camel" ("Id") VALUES (1) RETURNING "versionId", "createdBy";
SELECT * FROM managed WHERE "table" = '"Camel"'::regclass;
DROP TABLE "Camel";
CREATE TABLE rails (id int PRIMARY KEY, lock_version int NOT NULL DEFAULT 0, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
SELECT * FROM orm_ext.manage('rails') ORDER BY 1, 2;
INSERT INTO rails (id) VALUES (1) RETURNING lock_version, created_at = updated_at;
DROP TABLE rails;
CREATE TABLE plain (id int PRIMARY KEY, version int);
SELECT * FROM orm_ext.manage('plain');
SELECT * FROM orm_ext.unmanage('plain');
DROP TABLE plain;
CREATE TABLE camel_lock (id int PRIMARY KEY, "lockVersion" bigint);
SELECT * FROM orm_ext.manage('camel_lock');
DROP TABLE camel_lock;
CREATE TABLE dated (id int PRIMARY KEY, updated_at date);
SELECT * FROM orm_ext.manage('dated');
DROP TABLE dated;
CREATE TABLE marked (id int PRIMARY KEY, deleted_at timestamp);
SELECT * FROM orm_ext.manage('marked');
SELECT * FROM managed;
DROP TABLE marked;
-- columns of such a name, but of a type for something else, are left alone
CREATE TABLE misleading (id int PRIMARY KEY, version text, created_at text, updated_at timestamptz, updated_by jsonb, deleted_at text);
SELECT * FROM orm_ext.manage('misleading');
DROP TABLE misleading;
CREATE TABLE computed (id int PRIMARY KEY, version int GENERATED ALWAYS AS (id) STORED, updated_at timestamptz);
SELECT * FROM orm_ext.manage('computed');
DROP TABLE computed;
-- nothing to manage
CREATE TABLE bare (id int PRIMARY KEY, title text);
SELECT * FROM orm_ext.manage('bare');
SELECT * FROM orm_ext.unmanage('bare');

--
-- Options
--
CREATE TABLE rev (id int PRIMARY KEY, version int, revision bigint);
SELECT * FROM orm_ext.manage('post', 'mode=echo', 'ignore=title,id', 'clock=statement') ORDER BY 1, 2;
SELECT * FROM managed WHERE "table" = 'post'::regclass;
SELECT left(compare.changes('UPDATE post SET title = ''y'', version_id = 9 WHERE id = 2'), 5);
SELECT compare.changes('UPDATE post SET title = ''y'', version_id = version_id WHERE id = 2');
-- options that are given later come on top
SELECT count(*) FROM orm_ext.manage('post', 'mode=strict');
SELECT DISTINCT options FROM orm_ext.managed WHERE "table" = 'post'::regclass AND policy = 'version';
SELECT count(*) FROM orm_ext.manage('post', VARIADIC ARRAY['mode=auto', 'resent=move']);
SELECT DISTINCT options FROM orm_ext.managed WHERE "table" = 'post'::regclass AND policy = 'version';
SELECT compare.refusal($$SELECT * FROM orm_ext.manage('post', 'colour=red')$$);
SELECT compare.refusal($$SELECT * FROM orm_ext.manage('post', 'mode=loose')$$);
SELECT left(compare.changes($$SELECT * FROM orm_ext.manage('post', 'version=title')$$), 5);
-- a further column can be named
SELECT * FROM orm_ext.manage('rev', 'change_id=revision') ORDER BY 1;
SELECT policy, "column" FROM managed WHERE "table" = 'rev'::regclass;
DROP TABLE rev;
SELECT compare.refusal($$SELECT * FROM orm_ext.manage('post', 'ignore=nothing')$$);
SELECT count(*) FROM managed WHERE "table" = 'post'::regclass;
SELECT count(*) FROM orm_ext.unmanage('post');

--
-- What is declared already stays as it is
--
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version_id', 'mode=echo');
SELECT * FROM orm_ext.manage('post') ORDER BY 1, 2;
SELECT * FROM managed WHERE "table" = 'post'::regclass;
SELECT count(*) FROM orm_ext.unmanage('post');
SELECT * FROM managed WHERE "table" = 'post'::regclass;
DROP TRIGGER IF EXISTS own ON post;
SELECT count(*) FROM orm_ext.unmanage('post');
-- renamed columns are found by the trigger, not by the name
SELECT count(*) FROM orm_ext.manage('post');
ALTER TABLE post RENAME version_id TO revision;
ALTER TABLE post RENAME deleted_at TO gone_at;
SELECT * FROM managed WHERE "table" = 'post'::regclass;
ALTER TABLE post DISABLE TRIGGER zz_orm_stamp;
SELECT policy, enabled FROM managed WHERE "table" = 'post'::regclass;
SELECT * FROM orm_ext.unmanage('post') ORDER BY 1, 2;
ALTER TABLE post RENAME revision TO version_id;
ALTER TABLE post RENAME gone_at TO deleted_at;

--
-- The view: other declarations too
--
CREATE TABLE comment (id int PRIMARY KEY, post_id int REFERENCES post, v uuid, change_id bigint, at timestamptz);
CREATE TRIGGER "V" BEFORE INSERT OR UPDATE ON comment FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id', 'version=v', 'ignore=id', 'mode=strict');
CREATE TRIGGER at BEFORE INSERT OR UPDATE ON comment FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'at', 'clock=wall');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON comment FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('post_id', 'updated_at', 'version=bump');
SELECT * FROM managed WHERE "table" = 'comment'::regclass;
SELECT policy, "column" FROM orm_ext.unmanage('comment') ORDER BY 1, 2;
DROP TABLE comment;

--
-- Partitions and inheritance
--
CREATE TABLE event (id int, kind text, version int, updated_at timestamptz) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
SELECT * FROM orm_ext.manage('event') ORDER BY 1, 2;
CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('b');
INSERT INTO event VALUES (1, 'a'), (2, 'b');
SELECT id, version FROM event ORDER BY id;
SELECT * FROM orm_ext.manage('event') ORDER BY 1, 2;
SELECT compare.refusal($$SELECT * FROM orm_ext.unmanage('event_a')$$);
SELECT count(*) FROM orm_ext.unmanage('event');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('event'));
DROP TABLE event;

--
-- Whom it is for
--
GRANT ALL ON post TO regress_orm_client;
SELECT compare.refusal($$SELECT * FROM orm_ext.manage('soft.post')$$, 'regress_orm_client');
SELECT compare.refusal($$SELECT * FROM orm_ext.unmanage('soft.post')$$, 'regress_orm_client');
ALTER TABLE post OWNER TO regress_orm_owner;
SET ROLE regress_orm_owner;
SELECT count(*) FROM orm_ext.manage('soft.post');
SELECT count(*) FROM orm_ext.unmanage('soft.post');
RESET ROLE;
CREATE VIEW posts AS SELECT * FROM post;
SELECT compare.refusal($$SELECT * FROM orm_ext.manage('posts')$$);
SELECT compare.refusal($$SELECT * FROM orm_ext.manage('pg_catalog.pg_class')$$);
SELECT * FROM orm_ext.manage(NULL);
DROP VIEW posts;

--
-- auto_manage
--
SHOW orm_ext.auto_manage;
CREATE TABLE by_hand (id int PRIMARY KEY, version int, deleted_at timestamptz);
SELECT count(*) FROM managed;
SET orm_ext.auto_manage = 'other, soft';
CREATE TABLE auto (id int PRIMARY KEY, email text UNIQUE, version int, updated_at timestamptz, deleted_at timestamptz);
SELECT * FROM managed;
INSERT INTO auto (id) VALUES (1) RETURNING version;
SELECT compare.changes('DELETE FROM auto');
INSERT INTO auto VALUES (2, 'a');
DELETE FROM auto WHERE id = 2;
INSERT INTO auto VALUES (3, 'a');
-- deleted rows show again without the policy, which is told
SELECT policy FROM orm_ext.unmanage('auto') ORDER BY policy;
SELECT id FROM auto ORDER BY id;
SELECT policy FROM orm_ext.manage('auto') ORDER BY policy;
SELECT id FROM auto ORDER BY id;
-- tables without such columns, of other schemas, temporary ones and partitions are not
CREATE TABLE no_columns (id int);
CREATE TABLE public.elsewhere (id int, version int);
CREATE TEMP TABLE fleeting (id int, version int);
CREATE TABLE parted (id int, version int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
SELECT "table" FROM orm_ext.managed ORDER BY "table"::text;
DROP TABLE public.elsewhere, fleeting, parted, no_columns;
-- other ways to make a table
CREATE TABLE likewise (LIKE auto INCLUDING ALL);
CREATE TABLE selected AS SELECT 1 AS id, 2 AS version;
CREATE TABLE child () INHERITS (by_hand);
CREATE TABLE IF NOT EXISTS auto (id int);
CREATE SCHEMA other CREATE TABLE inner_one (id int, version int);
SELECT DISTINCT "table" FROM orm_ext.managed ORDER BY 1;
DROP TABLE likewise, selected, child;
SET client_min_messages = warning;
DROP SCHEMA other CASCADE;
RESET client_min_messages;
-- columns that come later are managed as well, and those alone
SET orm_ext.auto_manage = '';
CREATE TABLE late (id int PRIMARY KEY, email text UNIQUE, created_at timestamptz);
SET orm_ext.auto_manage = 'other, soft';
ALTER TABLE late ADD COLUMN name text, ALTER created_at SET DEFAULT now();
SELECT count(*) FROM managed WHERE "table" = 'late'::regclass;
ALTER TABLE late ADD COLUMN version int;
SELECT policy FROM managed WHERE "table" = 'late'::regclass ORDER BY policy;
ALTER TABLE late ADD COLUMN deleted_at timestamptz, ADD UNIQUE (name), ADD COLUMN IF NOT EXISTS created_at timestamptz;
SELECT policy FROM managed WHERE "table" = 'late'::regclass ORDER BY policy;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'late'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
INSERT INTO late VALUES (1, 'a');
DELETE FROM late;
INSERT INTO late VALUES (2, 'a') RETURNING version;
-- not again what has been taken off
SELECT count(*) FROM orm_ext.unmanage('late');
ALTER TABLE late ADD COLUMN updated_at timestamptz, ALTER version SET NOT NULL, ALTER name TYPE varchar(20);
ALTER TABLE late ADD COLUMN IF NOT EXISTS version int;
SELECT policy FROM managed WHERE "table" = 'late'::regclass ORDER BY policy;
-- not in a restore
SET row_security = off;
ALTER TABLE late ADD COLUMN updated_by text;
RESET row_security;
SELECT policy FROM managed WHERE "table" = 'late'::regclass ORDER BY policy;
DROP TABLE late;
-- of parents, partitioned or not, and with children
CREATE TABLE heir (id int);
CREATE TABLE heir_1 () INHERITS (heir);
CREATE TABLE split (id int) PARTITION BY RANGE (id);
CREATE TABLE split_1 PARTITION OF split DEFAULT;
ALTER TABLE heir ADD COLUMN version int;
ALTER TABLE split ADD COLUMN deleted_at timestamptz;
SELECT "table", policy FROM managed WHERE "table"::text ~ '^(heir|split)' ORDER BY "table"::text;
DROP TABLE heir, heir_1, split;
-- unique keys that come later hold among live rows, too, unless they must not
CREATE TABLE keyed (id int PRIMARY KEY, a int, b int, c int, d int, deleted_at timestamptz);
CREATE UNIQUE INDEX keyed_a ON keyed (a);
COMMENT ON INDEX keyed_a IS 'of a';
CREATE UNIQUE INDEX ON keyed (lower(b::text)) WHERE b > 0;
CREATE INDEX keyed_c ON keyed (c);
ALTER TABLE keyed ADD CONSTRAINT keyed_b UNIQUE (a, b), ADD UNIQUE (c) DEFERRABLE, ADD COLUMN e int UNIQUE;
CREATE UNIQUE INDEX CONCURRENTLY keyed_d ON keyed (d);
CREATE UNIQUE INDEX CONCURRENTLY keyed_some_d ON keyed (d) WHERE d > 0;
CREATE UNIQUE INDEX IF NOT EXISTS keyed_a ON keyed (d);
CREATE UNIQUE INDEX keyed_live ON keyed (d) WHERE deleted_at IS NULL;
SELECT pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class') FROM pg_index WHERE indrelid = 'keyed'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
-- rows that are deleted are not in their way
CREATE TABLE again (id int PRIMARY KEY, a int, b int, deleted_at timestamptz);
INSERT INTO again VALUES (1, 1, 1);
DELETE FROM again;
INSERT INTO again VALUES (2, 1, 1), (3, 2, 2);
CREATE UNIQUE INDEX again_a ON again (a);
CREATE UNIQUE INDEX CONCURRENTLY again_ab ON again (a, b);
ALTER TABLE again ADD CONSTRAINT again_b UNIQUE NULLS NOT DISTINCT (b) INCLUDE (a), ADD UNIQUE (b, "a");
CREATE UNIQUE INDEX again_one ON again ((deleted_at IS NULL));
ALTER TABLE again ADD CONSTRAINT again_a UNIQUE (id);
ALTER TABLE again ADD CONSTRAINT again_c UNIQUE (c);
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'again'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
SET ROLE regress_orm_client;
CREATE UNIQUE INDEX again_own ON again (a);
ALTER TABLE again ADD CONSTRAINT again_own UNIQUE (a);
RESET ROLE;
DROP TABLE again;
-- those that are there stay as their owner wants them
SELECT FROM orm_ext.enable_soft_delete('keyed', unique_keys => 'all');
ALTER TABLE keyed ADD COLUMN f int UNIQUE;
ALTER TABLE keyed CLUSTER ON keyed_a, ALTER COLUMN f TYPE bigint;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'keyed'::regclass AND indpred IS NOT NULL ORDER BY 1;
DROP TABLE keyed;
-- of partitioned tables
CREATE TABLE split (id int, a int, deleted_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (10);
CREATE UNIQUE INDEX split_a ON split (id, a);
CREATE TABLE split_2 PARTITION OF split DEFAULT;
CREATE UNIQUE INDEX split_2_a ON split_2 (a);
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid::regclass::text ~ '^split' ORDER BY indexrelid::regclass::text COLLATE "C";
DROP TABLE split;
-- not of other schemas, not of tables without soft delete, not in a restore
CREATE TABLE public.elsewhere (id int, a int, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON public.elsewhere FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE UNIQUE INDEX elsewhere_a ON public.elsewhere (a);
CREATE TABLE plain (id int, a int UNIQUE);
ALTER TABLE plain ADD UNIQUE (id);
CREATE TABLE dumped (id int, a int, deleted_at timestamptz);
SET row_security = off;
CREATE UNIQUE INDEX dumped_a ON dumped (a);
RESET row_security;
CREATE INDEX dumped_id ON dumped (id);
SELECT indexrelid::regclass FROM pg_index WHERE indisunique AND indpred IS NULL AND NOT indisprimary
	AND indrelid IN ('public.elsewhere'::regclass, 'plain'::regclass, 'dumped'::regclass) ORDER BY 1;
DROP TABLE public.elsewhere, plain, dumped;
-- one that cannot be managed is made all the same
CREATE TABLE misleading (id int, version text, updated_at timestamptz);
SELECT policy FROM orm_ext.managed WHERE "table" = 'misleading'::regclass;
DROP TABLE misleading;
-- within a transaction that is rolled back, and a function of another role
BEGIN;
CREATE TABLE undone (id int, version int);
ROLLBACK;
SET ROLE regress_orm_client;
CREATE TABLE client_own (id int PRIMARY KEY, version int);
RESET ROLE;
SELECT "table", trigger FROM orm_ext.managed WHERE "table" = 'client_own'::regclass;
DROP TABLE client_own;
-- not in a restore, whose triggers come with it, nor in an extension's script
SET row_security = off;
CREATE TABLE restored (id int PRIMARY KEY, version int, updated_at timestamptz, deleted_at timestamptz);
SELECT count(*) FROM orm_ext.managed WHERE "table" = 'restored'::regclass;
COPY restored FROM stdin;
1	7	2001-01-01 00:00:00Z	\N
\.
CREATE TRIGGER zz_orm_stamp BEFORE INSERT OR UPDATE ON restored FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
RESET row_security;
SELECT policy FROM orm_ext.managed WHERE "table" = 'restored'::regclass ORDER BY policy;
SELECT version, updated_at = '2001-01-01 00:00:00Z' FROM restored;
-- names in the list
SET orm_ext.auto_manage = '"Odd, one" , soft';
CREATE SCHEMA "Odd, one";
CREATE TABLE "Odd, one".t (id int, version int);
SELECT "table" FROM orm_ext.managed WHERE "table" = '"Odd, one".t'::regclass;
SET orm_ext.auto_manage = 'soft,,other';
SET orm_ext.auto_manage = '"soft';
RESET orm_ext.auto_manage;
CREATE TABLE by_hand_too (id int PRIMARY KEY, version int);
SELECT count(*) FROM orm_ext.managed WHERE "table" = 'by_hand_too'::regclass;

-- the extension does not go while tables need it
DROP VIEW managed;
DROP EXTENSION orm_ext;
\echo SQLSTATE :SQLSTATE

SET client_min_messages = warning;
DROP SCHEMA soft, "Odd, one" CASCADE;
DROP ROLE regress_orm_owner, regress_orm_client;
