--
-- lint(): names of constraints and indexes against the convention, and of
-- schemas, tables, columns and sequences against the rules for identifiers.
--
CREATE SCHEMA shop;
SET search_path = shop;
SET client_min_messages = warning;
SET orm_ext.naming_check = off;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
-- to plan lint() without caches takes minutes
SET debug_discard_caches = 0;
UPDATE orm_ext.lint_rule SET enabled = category = 'naming' WHERE enabled;

--
-- The convention
--
CREATE TABLE account (id bigint CONSTRAINT acc_pk PRIMARY KEY, code text CONSTRAINT u1 UNIQUE, tenant int, CONSTRAINT "Odd ""check" CHECK (tenant > 0));
CREATE TABLE invoice (
	id bigint PRIMARY KEY, a int, b int, c int,
	account_id bigint CONSTRAINT fk_account REFERENCES account,
	CONSTRAINT u2 UNIQUE (a, b), CONSTRAINT u3 UNIQUE (a, c), CONSTRAINT u4 UNIQUE (a),	-- one name for three
	CONSTRAINT x1 EXCLUDE USING btree (b WITH =)
);
CREATE INDEX "IX_invoice" ON invoice (account_id);
CREATE TABLE follows (id bigint PRIMARY KEY, a int UNIQUE, account_id bigint REFERENCES account, CHECK (a > 0));
CREATE INDEX ON follows (account_id);
SELECT severity, rule, object, message, fix FROM orm_ext.lint('shop') WHERE rule IN ('naming.pk', 'naming.uq', 'naming.fk', 'naming.ck', 'naming.ix', 'naming.ex');
-- the same that naming_violations has, but for what is exempt there or here
SELECT count(*) = (SELECT count(*) FROM orm_ext.naming_violations AS v WHERE v.schema = 'shop')
FROM orm_ext.lint('shop') WHERE rule ~ '^naming[.](pk|uq|fk|ck|ix|ex)$';
BEGIN;
INSERT INTO orm_ext.naming_exemption (object, reason) VALUES ('shop.account.u1', 'old');
INSERT INTO orm_ext.lint_exemption (rule, object, reason) VALUES ('naming.pk', 'shop.account.acc_pk', 'old');
SELECT object FROM orm_ext.lint('shop') WHERE object ~ '^shop.account';
ROLLBACK;
-- all fixes run, also of those that want the same name, and are enough
SELECT fix FROM orm_ext.lint('shop') WHERE fix IS NOT NULL \gexec
SELECT rule, object FROM orm_ext.lint('shop');
SELECT conname FROM pg_constraint WHERE conrelid = 'invoice'::regclass AND contype = 'u' ORDER BY conname;

--
-- naming.case, naming.reserved, naming.length
--
CREATE SCHEMA "Shop 2";
CREATE SCHEMA a2345678901234567890123456789012345678901234567890123456789_bcd;
CREATE TABLE "Shop 2"."OrderLine" (id bigint PRIMARY KEY, "HTTPServerURL" text, "created at" int, "2nd" int, a$b int, "Größe" text, größe_2 text, "createdBy" int, created_by int, _x int, "Order" text, "table" text, "left" text, name text, value text, "user" text,
	a2345678901234567890123456789012345678901234567890123456789_bcd int);
CREATE VIEW "Shop 2"."aView" AS SELECT id AS "Not judged" FROM "Shop 2"."OrderLine";
CREATE MATERIALIZED VIEW "Shop 2"."mView" AS SELECT 1 AS "Nor this";
CREATE TABLE "Shop 2"."user" (id bigint PRIMARY KEY);
CREATE TABLE "Shop 2"."Taken" (id bigint PRIMARY KEY);
CREATE TYPE "Shop 2".taken AS ENUM ('a');
CREATE TABLE "Shop 2".parted (id bigint PRIMARY KEY, "Part" int) PARTITION BY RANGE (id);
CREATE TABLE "Shop 2"."parted_From 0" PARTITION OF "Shop 2".parted FOR VALUES FROM (0) TO (100);
CREATE TABLE "Shop 2".parent (id bigint PRIMARY KEY, "Inherited" int);
CREATE TABLE "Shop 2".child ("Own" int, PRIMARY KEY (id)) INHERITS ("Shop 2".parent);
CREATE FOREIGN DATA WRAPPER lint_wrapper;
CREATE SERVER lint_server FOREIGN DATA WRAPPER lint_wrapper;
CREATE FOREIGN TABLE "Shop 2"."farAway" ("Far" timestamp, stamp timestamp) SERVER lint_server;
SELECT rule, object, message, fix FROM orm_ext.lint('Shop 2') WHERE rule IN ('naming.case', 'naming.reserved', 'naming.length');
SELECT rule, object FROM orm_ext.lint('a2345678901234567890123456789012345678901234567890123456789_bcd');
SELECT name, orm_ext.lint_snake_case(name) FROM unnest('{createdAt,HTTPServerURL,Order Line,__x,order2Line,ALL_CAPS,a--b}'::text[]) AS name;
-- columns first, the schema last, since a fix names what there is
SELECT fix FROM orm_ext.lint('Shop 2') WHERE rule = 'naming.case' AND fix IS NOT NULL ORDER BY fix ~ '^ALTER SCHEMA', fix !~ 'RENAME COLUMN', fix COLLATE "C" \gexec
SELECT rule, object FROM orm_ext.lint('shop_2') WHERE rule = 'naming.case';
DROP SCHEMA shop_2 CASCADE;
DROP SCHEMA a2345678901234567890123456789012345678901234567890123456789_bcd;

--
-- naming.singular: nothing but what is certain
--
SELECT word, orm_ext.lint_singular_of(word) FROM unnest('{users,categories,boxes,addresses,statuses,people,children,movies,databases,courses,caches,
	batches,heroes,shoes,series_items,indices,analyses,leaves,quizzes,metrics,houses,taxes,wishes,buzzes,keys,days,sizes,archives,aliases,menus}'::text[]) AS word;
SELECT array_agg(word) FROM unnest('{analysis,status,address,series,news,data,specimen,stadium,species,bus,gas,alias,canvas,lens,process,access,basis,media,
	metadata,criteria,physics,analytics,statistics,virus,campus,bonus,bias,atlas,dns,sms,css,os,ids,class,business,progress,corps,means,headquarters,https,
	sheep,fish,equipment,information,index,matrix,schema,tennis,apparatus,chaos,this,always,user,person,child}'::text[]) AS word
WHERE orm_ext.lint_singular_of(word) IS NOT NULL;
CREATE TABLE order_lines (id bigint PRIMARY KEY);
CREATE TABLE "OrderAddresses" (id bigint PRIMARY KEY);
CREATE TABLE lines_of_order (id bigint PRIMARY KEY);
CREATE TABLE users_2024 (id bigint PRIMARY KEY);
CREATE TABLE order_status (id bigint PRIMARY KEY);
CREATE TABLE settings (id bigint PRIMARY KEY);
CREATE TABLE sku_octopodes (id bigint PRIMARY KEY);
CREATE TABLE rabbits (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE rabbits_parts PARTITION OF rabbits FOR VALUES FROM (0) TO (100);
CREATE VIEW views AS SELECT 1 AS one;
SELECT severity, object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'naming.singular';
INSERT INTO orm_ext.lint_singular VALUES ('settings', NULL), ('octopodes', 'octopus');
SELECT object, message FROM orm_ext.lint('shop') WHERE rule = 'naming.singular';
INSERT INTO orm_ext.lint_singular VALUES ('Upper', NULL);
DELETE FROM orm_ext.lint_singular;

--
-- naming.prefix: only where a prefix is asked for
--
CREATE SCHEMA billing;
CREATE TABLE billing.billing (id bigint PRIMARY KEY);
CREATE TABLE billing.billing_invoice (id bigint PRIMARY KEY);
CREATE TABLE billing.invoice (id bigint PRIMARY KEY);
CREATE TABLE billing.billingx (id bigint PRIMARY KEY);
CREATE TABLE billing.taken (id bigint PRIMARY KEY);
CREATE VIEW billing.billing_taken AS SELECT 1 AS one;
SELECT count(*) FROM orm_ext.lint() WHERE rule = 'naming.prefix';
INSERT INTO orm_ext.lint_prefix VALUES ('billing', 'billing_');
SELECT object, message, fix FROM orm_ext.lint() WHERE rule = 'naming.prefix';
INSERT INTO orm_ext.lint_prefix VALUES ('billing', 'inv'), (NULL, 'app_');
SELECT object, message, fix FROM orm_ext.lint('billing') WHERE rule = 'naming.prefix';
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE object = 'shop.invoice';
DELETE FROM orm_ext.lint_prefix WHERE schema IS NULL OR prefix = 'inv';
SELECT fix FROM orm_ext.lint() WHERE rule = 'naming.prefix' AND fix IS NOT NULL \gexec
SELECT object FROM orm_ext.lint() WHERE rule = 'naming.prefix';
DELETE FROM orm_ext.lint_prefix;
DROP SCHEMA billing CASCADE;

--
-- naming.suffix_type: both ways
--
CREATE DOMAIN moment AS timestamptz;
CREATE TABLE stamp (
	id bigint PRIMARY KEY,
	seen_at timestamptz, "seenAt" timestamp, moment_at moment, due_date date, "dueDate" date, date date,	-- right
	format text, flat int, update text, great_at_dates int,									-- nothing to do with it
	seen timestamptz, moment moment, due date,										-- without
	count_at int, count_date text, "countAt" int, look_at bool,								-- of another type
	from_at date, to_date timestamptz, taken_at date, taken_date int						-- of the other one
);
CREATE TABLE kept (id bigint PRIMARY KEY, deleted_at bigint NOT NULL, updated_at bigint, other_at bigint);
CREATE TRIGGER soft_delete BEFORE DELETE ON kept FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated=updated_at');
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'naming.suffix_type';
INSERT INTO orm_ext.lint_exemption (rule, object, reason) VALUES ('naming.suffix_type', 'shop.stamp.look_at', 'a verb');
SELECT count(*) FROM orm_ext.lint('shop') WHERE rule = 'naming.suffix_type' AND object = 'shop.stamp.look_at';
SELECT fix FROM orm_ext.lint('shop') WHERE rule = 'naming.suffix_type' AND fix IS NOT NULL \gexec
SELECT object, fix FROM orm_ext.lint('shop') WHERE rule = 'naming.suffix_type';

--
-- naming.sq: sequences that tables own
--
CREATE TABLE counter (id bigserial PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE old_name (id bigserial PRIMARY KEY, "N" bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE other_name (id bigserial PRIMARY KEY);
CREATE SEQUENCE "Free";
CREATE SEQUENCE new_name_id_seq;
ALTER TABLE old_name RENAME TO new_name;
ALTER TABLE other_name RENAME id TO other_id;
CREATE TABLE counter_with_a_long_name_that_postgresql_cannot_keep_whole (identification bigserial PRIMARY KEY);
SELECT object, message, fix FROM orm_ext.lint('shop') WHERE rule = 'naming.sq';
SELECT fix FROM orm_ext.lint('shop') WHERE rule = 'naming.sq' AND fix IS NOT NULL \gexec
SELECT object FROM orm_ext.lint('shop') WHERE rule = 'naming.sq';

DELETE FROM orm_ext.lint_exemption;
DELETE FROM orm_ext.lint_setting;
DROP SERVER lint_server CASCADE;
DROP FOREIGN DATA WRAPPER lint_wrapper;
DROP SCHEMA shop CASCADE;
