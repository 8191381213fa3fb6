--
-- Names and what is new in PostgreSQL 18: periods, constraints that are not
-- enforced, and NOT NULL constraints with names of their own.
--
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\pset format unaligned
\pset tuples_only on
SET orm_ext.naming_check = off;
CREATE FOREIGN DATA WRAPPER regress_orm_wrapper;
CREATE SERVER regress_orm_server FOREIGN DATA WRAPPER regress_orm_wrapper;
CALL compare.name_in_both($$
	CREATE TABLE room (id int4range, during tsrange, name text, PRIMARY KEY (id, during WITHOUT OVERLAPS));
	CREATE TABLE account (id int PRIMARY KEY, code text NOT NULL UNIQUE);
	CREATE TABLE post (id int NOT NULL, a int, b int);
$$);

--
-- Given as in other versions
--
SELECT compare.naming('CREATE TABLE t (id int4range, during tsrange, PRIMARY KEY (id, during WITHOUT OVERLAPS), UNIQUE (during, id WITHOUT OVERLAPS))');
SELECT compare.naming('CREATE TABLE t (id int4range, during tsrange, FOREIGN KEY (id, PERIOD during) REFERENCES room (id, PERIOD during))');
SELECT compare.naming('CREATE TABLE t (id int4range, during tsrange, FOREIGN KEY (id, PERIOD during) REFERENCES room)');
SELECT compare.naming('CREATE TABLE t (id int4range, during tsrange); ALTER TABLE t ADD UNIQUE (id, during WITHOUT OVERLAPS), ADD FOREIGN KEY (id, PERIOD during) REFERENCES room');
SELECT compare.naming('CREATE TABLE t (a int CHECK (a > 0) NOT ENFORCED, b int REFERENCES account NOT ENFORCED, CHECK (a > b) NOT ENFORCED)');
SELECT compare.naming('ALTER TABLE post ADD CHECK (a > 0) NOT ENFORCED, ADD FOREIGN KEY (a) REFERENCES account NOT ENFORCED, ADD FOREIGN KEY (b) REFERENCES account NOT VALID');
SELECT compare.naming('CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) CHECK (b > 0), CHECK (a > b))');
SELECT compare.naming('CREATE FOREIGN TABLE t (LIKE post INCLUDING ALL, CHECK (a > 0)) SERVER regress_orm_server');
SELECT compare.naming('CREATE TABLE m (a int, b int, EXCLUDE (a WITH =, b WITH =), UNIQUE (a, b)) PARTITION BY LIST (a); CREATE TABLE m1 PARTITION OF m DEFAULT');
SELECT compare.naming('CREATE TABLE t (a text CHECK (a IS JSON OBJECT), b jsonb CHECK (JSON_EXISTS(b, ''$.x'')), c jsonb CHECK (JSON_VALUE(c, ''$.x'' RETURNING int) > 0), d text CHECK (JSON_ARRAY(d) IS NOT NULL), e int CHECK (JSON_SCALAR(e) IS NOT NULL))');
SELECT compare.naming('CREATE TABLE t (a int CHECK (merge_action() <> ''''))');
-- NOT NULL constraints are nobody's business; theirs are names to keep out of the way of
SELECT compare.naming('CREATE TABLE t (a int NOT NULL UNIQUE, b int CONSTRAINT my_n NOT NULL, c int, NOT NULL c, CHECK (a > 0))');
SELECT compare.naming('CREATE TABLE t (a int CONSTRAINT t_b_key NOT NULL, b int UNIQUE)');
SELECT compare.naming('ALTER TABLE post ADD NOT NULL a, ADD CONSTRAINT post_b_key NOT NULL b, ADD UNIQUE (b)');
SELECT compare.naming('ALTER TABLE post ADD CONSTRAINT post_b_check NOT NULL b NOT VALID; ALTER TABLE post ADD CHECK (b > 0)');
SELECT compare.naming('CREATE TABLE t (LIKE post INCLUDING ALL, UNIQUE (a)); CREATE TABLE u (id int NOT NULL NO INHERIT, UNIQUE (id)); CREATE TABLE v () INHERITS (t)');
SELECT compare.naming('ALTER TABLE post ALTER COLUMN a SET NOT NULL, ADD UNIQUE (a)');
SELECT orm_ext.use_naming('all_columns', overflow => 'postgres');
SELECT * FROM compare.differences();
DELETE FROM orm_ext.naming_template;
INSERT INTO orm_ext.naming_template (kind, template) VALUES
	('pk', 'pk_%(table_name)s'), ('uq', 'uq_%(table_name)s_%(column_0_N_name)s'), ('ck', 'ck_%(table_name)s_%(constraint_name)s'),
	('fk', 'fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s_%(referred_column_0_N_name)s'), ('ix', 'ix_%(column_0_N_label)s'), ('ex', 'ex_%(table_name)s_%(column_0_name)s');
SELECT * FROM compare.all_objections();
DELETE FROM orm_ext.naming_template;
-- the names of NOT NULL constraints are those of plain PostgreSQL
CALL compare.name_in_both('CREATE TABLE t (a int NOT NULL, b int, PRIMARY KEY (b, a), CHECK (a > b)); ALTER TABLE t ADD COLUMN c int NOT NULL UNIQUE');
SELECT count(*), count(*) FILTER (WHERE s.conname = t.conname)
FROM pg_constraint AS s JOIN pg_constraint AS t ON t.conrelid = 'twin.t'::regclass AND t.contype = 'n' AND t.conkey = s.conkey
WHERE s.conrelid = 'soft.t'::regclass AND s.contype = 'n';

--
-- Not judged
--
SET orm_ext.naming_check = error;
SET search_path = soft;
CREATE TABLE judged (a int CONSTRAINT wrong NOT NULL, b int, CONSTRAINT wrong2 NOT NULL b);
ALTER TABLE judged ADD COLUMN c int, ADD CONSTRAINT wrong3 NOT NULL c;
ALTER TABLE judged RENAME CONSTRAINT wrong TO wrong4;
SELECT kind, name FROM orm_ext.naming_audit('soft') WHERE "table" = 'judged';
ALTER TABLE judged ADD CONSTRAINT wrong5 CHECK (a > 0) NOT ENFORCED;
ALTER TABLE judged ADD CONSTRAINT wrong6 UNIQUE (a);
SET orm_ext.naming_check = warn;
CREATE TABLE judged2 (id int4range, during tsrange, CONSTRAINT wrong7 PRIMARY KEY (id, during WITHOUT OVERLAPS), CONSTRAINT wrong8 FOREIGN KEY (id, PERIOD during) REFERENCES room);
SELECT kind, name, expected, conforms FROM orm_ext.naming_audit('soft') WHERE "table" = 'judged2';
CALL orm_ext.apply_naming('soft', false);
SELECT name, definition FROM compare.names('soft') WHERE "table" = 'judged2' ORDER BY name;
DROP TABLE judged, judged2;

--
-- They follow, if PostgreSQL had named them
--
SET orm_ext.naming_follow = on;
CREATE VIEW not_nulls AS
	SELECT conrelid::regclass AS "table", conname FROM pg_constraint WHERE contype = 'n' AND connamespace = 'soft'::regnamespace ORDER BY conrelid::regclass::text, conname;
CREATE TABLE named (a int NOT NULL, b int CONSTRAINT own NOT NULL, c serial, d int PRIMARY KEY, e int GENERATED ALWAYS AS IDENTITY);
SELECT * FROM not_nulls WHERE "table" = 'named'::regclass;
ALTER TABLE named RENAME a TO x;
ALTER TABLE named RENAME b TO y;
ALTER TABLE named RENAME c TO z;
SELECT * FROM not_nulls WHERE "table" = 'named'::regclass;
ALTER TABLE named RENAME TO renamed;
SELECT * FROM not_nulls WHERE "table" = 'renamed'::regclass;
SELECT pg_get_serial_sequence('renamed', 'z'), pg_get_serial_sequence('renamed', 'e');
ALTER TABLE renamed RENAME TO reporting_monthly_customer_subscription_renewal_summary_line;
ALTER TABLE reporting_monthly_customer_subscription_renewal_summary_line RENAME x TO subscription_id;
SELECT conname FROM not_nulls WHERE "table" = 'reporting_monthly_customer_subscription_renewal_summary_line'::regclass;
ALTER TABLE reporting_monthly_customer_subscription_renewal_summary_line RENAME TO named;
ALTER TABLE named RENAME subscription_id TO a;
SELECT conname FROM not_nulls WHERE "table" = 'named'::regclass;
DROP TABLE named;
-- with children
CREATE TABLE parent (a int NOT NULL, b int);
CREATE TABLE child (b int NOT NULL) INHERITS (parent);
ALTER TABLE parent RENAME a TO z;
SELECT * FROM not_nulls WHERE "table" IN ('parent'::regclass, 'child'::regclass);
ALTER TABLE child RENAME TO heir;
ALTER TABLE parent RENAME TO ancestor;
SELECT * FROM not_nulls WHERE "table" IN ('ancestor'::regclass, 'heir'::regclass);
CREATE TABLE measure (a int PRIMARY KEY, b int NOT NULL) PARTITION BY LIST (a);
CREATE TABLE measure_1 PARTITION OF measure DEFAULT;
ALTER TABLE measure RENAME b TO z;
ALTER TABLE measure RENAME TO reading;
SELECT * FROM not_nulls WHERE "table" IN ('reading'::regclass, 'measure_1'::regclass);
-- a name that is taken
CREATE TABLE clash (a int NOT NULL, b int CONSTRAINT clash_z_not_null CHECK (b > 0));
ALTER TABLE clash RENAME a TO z;
SELECT conname FROM not_nulls WHERE "table" = 'clash'::regclass;
-- off, or asked only to warn: left alone
SET orm_ext.naming_follow = off;
CREATE TABLE alone (a int NOT NULL);
ALTER TABLE alone RENAME a TO z;
ALTER TABLE alone RENAME TO lonely;
SELECT conname FROM not_nulls WHERE "table" = 'lonely'::regclass;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP FOREIGN DATA WRAPPER regress_orm_wrapper CASCADE;
TRUNCATE compare.asked;
