-- A database that uses everything that has to survive an upgrade.
SET client_min_messages = warning;

-- names
SELECT orm_ext.use_naming('all_columns');
INSERT INTO orm_ext.naming_template (schema, kind, template)
	VALUES ('public', 'fk', 'fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s');
INSERT INTO orm_ext.naming_exemption (pattern, reason) VALUES ('legacy', 'as it came');
INSERT INTO orm_ext.lint_prefix VALUES ('crm', 'crm_');
INSERT INTO orm_ext.lint_exemption (rule, pattern, reason) VALUES ('*', 'legacy', 'as it came');
UPDATE orm_ext.lint_rule SET enabled = false WHERE rule = 'no_primary_key';
CREATE TABLE legacy_thing (id int CONSTRAINT "oldKey" PRIMARY KEY, name text);
CREATE INDEX "Odd Index" ON legacy_thing (name);

-- soft delete with every kind of marker, foreign keys with every action, stamps
CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, name text, points int DEFAULT 0 NOT NULL CHECK (points < 1000),
	version_id int, created_at timestamptz, updated_at timestamptz, created_by text, updated_by text, deleted_by text);
SELECT orm_ext.enable_soft_delete('customer');
SELECT count(*) FROM orm_ext.manage('customer', 'ignore=points');
CREATE TABLE invoice (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer ON DELETE CASCADE, number text,
	lock_version uuid, touched bigint, UNIQUE (customer_id, number));
SELECT orm_ext.enable_soft_delete('invoice');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION orm_ext.version('lock_version');
CREATE TRIGGER times BEFORE INSERT OR UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'touched', 'unit=milliseconds');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON invoice FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('customer_id', 'updated_at');
CREATE TABLE line (invoice_id int REFERENCES invoice ON DELETE CASCADE, position int, what text, PRIMARY KEY (invoice_id, position));
SELECT orm_ext.enable_soft_delete('line', 'gone', 'bigint');
CREATE TABLE attachment (id int PRIMARY KEY, invoice_id int REFERENCES invoice ON DELETE CASCADE);
SELECT orm_ext.enable_soft_delete('attachment', 'removed', 'boolean');
CREATE TABLE payment (id int PRIMARY KEY, invoice_id int REFERENCES invoice ON DELETE RESTRICT);
SELECT orm_ext.enable_soft_delete('payment', 'deleted_at', 'timestamp');
CREATE TABLE note (id int PRIMARY KEY, customer_id int REFERENCES customer ON DELETE SET NULL, body text, change_id bigint);
SELECT orm_ext.enable_soft_delete('note');
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OR DELETE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
CREATE TABLE switched_off (id int PRIMARY KEY);
SELECT orm_ext.enable_soft_delete('switched_off', unique_keys => 'all');

-- partitions: one with columns in another order, and a bin of its own
CREATE TABLE event (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE event_2025 (gone text, at date NOT NULL, id int NOT NULL);
ALTER TABLE event_2025 DROP COLUMN gone;
ALTER TABLE event ATTACH PARTITION event_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
SELECT orm_ext.enable_soft_delete('event');
CREATE TABLE log (id int PRIMARY KEY, body text);
SELECT orm_ext.enable_soft_delete('log');
INSERT INTO log SELECT i, 'entry ' || i FROM generate_series(1, 6) AS i;
DELETE FROM log WHERE id = 2;
SELECT count(*) > 0 FROM orm_ext.partition_by_marker('log');

-- rows
SET orm_ext.actor = 'ann';
INSERT INTO customer (id, email, name) SELECT i, 'c' || i || '@example.org', 'Customer ' || i FROM generate_series(1, 12) AS i;
INSERT INTO invoice (id, customer_id, number) SELECT i, (i + 1) / 2, 'N' || i FROM generate_series(1, 20) AS i;
INSERT INTO line SELECT i, p, 'thing ' || p FROM generate_series(1, 20) AS i, generate_series(1, 2) AS p;
INSERT INTO attachment SELECT i, i FROM generate_series(1, 5) AS i;
INSERT INTO payment SELECT i, i FROM generate_series(5, 8) AS i;
INSERT INTO note SELECT i, i, 'note ' || i FROM generate_series(1, 10) AS i;
INSERT INTO switched_off SELECT generate_series(1, 3);
INSERT INTO event SELECT i, date '2024-12-25' + i FROM generate_series(1, 12) AS i;
SET orm_ext.actor = 'bob';
UPDATE customer SET name = upper(name) WHERE id % 3 = 0;
UPDATE note SET body = 'changed' WHERE id = 4;
DELETE FROM switched_off WHERE id = 1;
ALTER TABLE switched_off DISABLE TRIGGER orm_soft_delete;
DELETE FROM customer WHERE id IN (1, 10);
INSERT INTO customer (id, email, name) VALUES (13, 'c1@example.org', 'the new one');
DELETE FROM invoice WHERE id = 18;
DELETE FROM line WHERE invoice_id = 16 AND position = 1;
DELETE FROM event WHERE id IN (3, 9);
DELETE FROM log WHERE id = 4;
DELETE FROM payment WHERE id = 8;

-- what stands on tables
CREATE VIEW balance AS SELECT c.id, name, count(i.id) AS invoices FROM customer AS c LEFT JOIN invoice AS i ON customer_id = c.id GROUP BY c.id;
CREATE VIEW bin AS SELECT id, deleted_by FROM customer WHERE deleted_at IS NOT NULL;
CREATE FUNCTION live_customers() RETURNS SETOF int LANGUAGE sql STABLE BEGIN ATOMIC SELECT id FROM customer; END;
CREATE MATERIALIZED VIEW lines AS SELECT invoice_id, count(*) FROM line GROUP BY invoice_id;
SELECT count(*) > 0 FROM orm_ext.create_publication('live', '{customer,line,event}');

-- settings, of the database and of roles
CREATE SCHEMA crm;
ALTER DATABASE shop SET orm_ext.auto_manage = 'crm';
ALTER DATABASE shop SET "TimeZone" = 'UTC';
CREATE ROLE auditor LOGIN;
GRANT SELECT ON customer TO auditor;
ALTER ROLE auditor SET orm_ext.deleted_rows = 'show';

-- batched jobs: one that is done, and one that stands still at a row
CALL orm_ext.batch_update('invoice', 'number = lower(number)', batch_size => 5);
\set ON_ERROR_STOP off
CALL orm_ext.batch_update('customer', 'points = points + 100 / (id - 7)', batch_size => 3, max_retries => 0);
