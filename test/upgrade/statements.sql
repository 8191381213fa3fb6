-- What statements do, in a copy of the database.
SET client_min_messages = error;
CREATE FUNCTION pg_temp.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'fine';
EXCEPTION WHEN others THEN
	-- what RESTRICT raises from 18 on
	RETURN replace(SQLSTATE, '23001', '23503');
END $$;

\echo == a delete, its cascade, and the way back
DELETE FROM customer WHERE id = 2;
SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM invoice), (SELECT count(*) FROM line), (SELECT count(*) FROM attachment);
SELECT r::text FROM orm_ext.restore('customer', 2) AS r ORDER BY 1;
SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM invoice), (SELECT count(*) FROM line), (SELECT count(*) FROM attachment);
SELECT r::text FROM orm_ext.restore('customer', 10) AS r ORDER BY 1;
SELECT id, deleted_at IS NULL, deleted_by FROM customer WHERE orm_ext.with_deleted(deleted_at) AND id IN (1, 10) ORDER BY id;
SELECT pg_temp.state_of('SELECT orm_ext.restore(''customer'', 1)');
DELETE FROM event WHERE id = 8;
SELECT count(*) FROM event;
DELETE FROM log WHERE id = 5;
SELECT tableoid::regclass::text, count(*) FROM log WHERE orm_ext.with_deleted(deleted_at) GROUP BY 1 ORDER BY 1;

\echo == foreign keys and unique keys of live rows
SELECT pg_temp.state_of('DELETE FROM invoice WHERE id = 6');
SELECT pg_temp.state_of('INSERT INTO invoice (id, customer_id) VALUES (99, 1)');
SELECT pg_temp.state_of('INSERT INTO payment VALUES (99, 2)');
DELETE FROM customer WHERE id = 6;
SELECT customer_id FROM note WHERE id = 6;
SELECT pg_temp.state_of('INSERT INTO customer (id, email) VALUES (98, ''c3@example.org'')');
SELECT pg_temp.state_of('INSERT INTO customer (id, email) VALUES (97, ''c6@example.org'')');
INSERT INTO customer (id, email, name) VALUES (96, 'c4@example.org', 'upserted') ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING id, name;

\echo == stamps
UPDATE customer SET name = 'once more' WHERE id = 5 RETURNING version_id, updated_at > created_at, updated_by IS NOT NULL;
UPDATE customer SET points = 1 WHERE id = 5 RETURNING version_id;
SELECT pg_temp.state_of('UPDATE customer SET name = ''x'', version_id = 77 WHERE id = 5');
SELECT max(change_id) AS greatest FROM note WHERE orm_ext.with_deleted(deleted_at) \gset
UPDATE note SET body = 'later' WHERE id = 9 RETURNING change_id > :greatest;
SELECT max(change_id) < orm_ext.min_active_change_id() FROM note;
SELECT lock_version AS before FROM invoice WHERE id = 3 \gset
UPDATE invoice SET number = 'other' WHERE id = 3 RETURNING lock_version <> :'before', touched > 0;

\echo == upserts
SELECT * FROM orm_ext.bulk_upsert('customer', '[{"id": 5, "email": "c5@example.org", "name": "bulk"}, {"id": 50, "email": "new@example.org", "name": "new"}]');
COPY customer (id, name) FROM STDIN WITH (on_conflict 'update');
5	copied
\.
SELECT id, name FROM customer WHERE id IN (5, 50) ORDER BY id;

\echo == new tables
CREATE TABLE crm.crm_contact (id int PRIMARY KEY, a int, b int, version_id int, deleted_at timestamptz, UNIQUE (a, b), FOREIGN KEY (b) REFERENCES customer);
SELECT policy, "column" FROM orm_ext.managed WHERE "table" = 'crm.crm_contact'::regclass ORDER BY 1;
SELECT conname FROM pg_constraint WHERE conrelid = 'crm.crm_contact'::regclass AND contype <> 'n' ORDER BY 1;
SELECT indexdef FROM pg_indexes WHERE tablename = 'crm_contact' ORDER BY 1;
CREATE TABLE visit (id int PRIMARY KEY, customer_id int REFERENCES customer);
CREATE INDEX ON visit (customer_id, id);
SELECT conname FROM pg_constraint WHERE conrelid = 'visit'::regclass AND contype <> 'n' ORDER BY 1;
SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'visit'::regclass ORDER BY 1;

\echo == DDL
SELECT pg_temp.state_of('ALTER TABLE customer DROP COLUMN deleted_at');
ALTER TABLE payment RENAME COLUMN deleted_at TO gone_at;
SELECT "column" FROM orm_ext.managed WHERE "table" = 'payment'::regclass;
SELECT pg_temp.state_of('TRUNCATE payment');
SELECT pg_temp.state_of('DROP EXTENSION orm_ext');

\echo == leaving for good
CALL orm_ext.purge('event', '0 seconds') \gset
SELECT count(*) FROM event WHERE orm_ext.with_deleted(deleted_at);
