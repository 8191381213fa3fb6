--
-- CHECK constraints that a row violates by now do not keep it from being deleted.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE offer (id int PRIMARY KEY, price int, note text, deleted_at timestamptz, deleted_by text,
		version int, twice int GENERATED ALWAYS AS (price * 2) STORED);
	CREATE TABLE item (id int PRIMARY KEY, offer_id int REFERENCES offer ON DELETE CASCADE, price int, deleted_at timestamptz);
	CREATE TABLE part (kind text, price int, deleted_at timestamptz) PARTITION BY LIST (kind);
	CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
	CREATE TABLE part_b (deleted_at timestamptz, price int, kind text);
	ALTER TABLE part ATTACH PARTITION part_b FOR VALUES IN ('b');
	CREATE TABLE old (id int, price int, deleted_at timestamptz);
	CREATE TABLE older () INHERITS (old);
	INSERT INTO offer (id, price, note) SELECT i, i, 'note' FROM generate_series(1, 9) AS i;
	INSERT INTO item SELECT i, i % 9 + 1, i FROM generate_series(1, 20) AS i;
	INSERT INTO part SELECT CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, i FROM generate_series(1, 10) AS i;
	INSERT INTO old VALUES (1, 1);
	INSERT INTO older VALUES (2, 2);
	ALTER TABLE offer ADD CHECK (price > current_setting('compare.lowest')::int) NOT VALID, ADD CHECK (offer.note <> 'never') NOT VALID;
	ALTER TABLE item ADD CHECK (price > current_setting('compare.lowest')::int) NOT VALID;
	ALTER TABLE part ADD CHECK (price > current_setting('compare.lowest')::int) NOT VALID;
	ALTER TABLE old ADD CHECK (price > current_setting('compare.lowest')::int) NOT VALID;
$$);
SET client_min_messages = warning;
SELECT count(*) > 0 AS enabled FROM unnest('{soft.offer, soft.item, soft.part, soft.old}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
RESET client_min_messages;

-- by now the price is too low, everywhere
SET compare.lowest = 100;
SELECT compare.effect('DELETE FROM offer WHERE id = 1 RETURNING *');
SELECT compare.effect('DELETE FROM offer');
SELECT compare.effect('WITH gone AS (DELETE FROM offer WHERE id < 4 RETURNING *) SELECT * FROM gone');
SELECT compare.effect('DELETE FROM part RETURNING *');
SELECT compare.effect('DELETE FROM part_b WHERE price < 5');
SELECT compare.effect('DELETE FROM old');
-- but all else is checked as ever
SELECT compare.effect('UPDATE offer SET note = ''new''');
SELECT compare.effect('WITH gone AS (DELETE FROM offer WHERE id = 1) UPDATE offer SET note = ''new'' WHERE id = 2');
SELECT compare.effect('INSERT INTO offer (id, price) VALUES (20, 20)');
SELECT compare.effect('WITH gone AS (DELETE FROM offer WHERE id = 9 RETURNING *) INSERT INTO offer (id, price) SELECT 20, price FROM gone');
\set VERBOSITY terse
UPDATE soft.offer SET deleted_at = now() WHERE id = 1;
RESET compare.lowest;

-- A constraint on what a soft DELETE changes holds.
SET compare.lowest = 0;
SET search_path = soft;
BEGIN;
ALTER TABLE offer ADD CONSTRAINT keep_the_cheap CHECK (deleted_at IS NULL OR price > 3);
DELETE FROM offer WHERE id = 5;
DELETE FROM offer WHERE id = 2;
ROLLBACK;
BEGIN;
SET LOCAL orm_ext.actor = 'mallory';
ALTER TABLE offer ADD CONSTRAINT not_him CHECK (deleted_by <> 'mallory');
DELETE FROM offer WHERE id = 2;
ROLLBACK;
BEGIN;
ALTER TABLE offer ADD CONSTRAINT whole_row CHECK (NOT offer::text ~ '20');
DELETE FROM offer WHERE id = 2;
ROLLBACK;
-- and so does one on a column that a stamp keeps, and any where triggers of others may change the row
BEGIN;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON offer FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
UPDATE offer SET note = 'second';
ALTER TABLE offer ADD CONSTRAINT first_only CHECK (version < 2);
DELETE FROM offer WHERE id = 2;
ROLLBACK;
BEGIN;
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.price := -1; RETURN NEW; END';
CREATE TRIGGER spoil BEFORE UPDATE ON offer FOR EACH ROW EXECUTE FUNCTION spoil();
DELETE FROM offer WHERE id = 2;
ROLLBACK;
\set VERBOSITY default
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
