--
-- What a restore fails by, that nothing of it stays then, and that the preview
-- tells so without changing anything.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE TABLE account (id int PRIMARY KEY, email text UNIQUE, name text, deleted_at timestamptz);
CREATE TABLE item (id int PRIMARY KEY, account int REFERENCES account ON DELETE CASCADE, slug text COLLATE "C",
	n int, deleted_at timestamptz, UNIQUE NULLS NOT DISTINCT (slug, n));
CREATE UNIQUE INDEX item_lower ON item (lower(slug)) WHERE n > 10;
SELECT count(*) FROM unnest('{account,item}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
INSERT INTO account VALUES (1, 'a@x', 'A'), (2, 'b@x', 'B');
INSERT INTO item VALUES (1, 1, 'one', 1), (2, 1, 'two', NULL), (3, 1, 'THREE', 11), (4, 1, NULL, NULL), (5, 2, 'four', 1);

--
-- Keys that are taken
--
DELETE FROM account WHERE id = 1;
INSERT INTO account VALUES (3, 'a@x', 'A2');
INSERT INTO item VALUES (11, 3, 'two', NULL), (12, 3, 'three', 12), (13, 3, NULL, NULL), (14, 3, 'one', 2);
SELECT compare.contents('soft') AS before \gset
SELECT * FROM orm_ext.restore_preview('account', 1);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('account', 1)$$);
SELECT compare.contents('soft') = :'before';
-- one after the other, the preview tells what the restore stumbles over
DELETE FROM account WHERE id = 3;
SELECT * FROM orm_ext.restore_preview('account', 1);
-- both at once take each other's keys
SELECT * FROM orm_ext.restore_preview_where('account', 'email = ''a@x''');
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('account', 'email = ''a@x''')$$);
SELECT * FROM orm_ext.restore('account', 1);
SELECT * FROM item ORDER BY id;
-- a key of the owner's own that knows who deleted a row; a generated one; an exclusion constraint
CREATE TABLE odd (id int PRIMARY KEY, email text, live_email text GENERATED ALWAYS AS (CASE WHEN NOT deleted THEN email END) STORED UNIQUE,
	during int4range, deleted boolean NOT NULL DEFAULT false, deleted_by text,
	UNIQUE NULLS NOT DISTINCT (email, deleted_by), EXCLUDE USING gist (during WITH &&) WHERE (NOT deleted));
CREATE TRIGGER soft_delete BEFORE DELETE ON odd FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted');
INSERT INTO odd VALUES (1, 'a@x', DEFAULT, '[1,5)');
DELETE FROM odd;
INSERT INTO odd VALUES (2, 'a@x', DEFAULT, '[4,6)');
SELECT * FROM orm_ext.restore_preview('odd', 1);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('odd', 1)$$);
UPDATE odd SET email = 'b@x' WHERE id = 2;
SELECT * FROM orm_ext.restore_preview('odd', 1);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('odd', 1)$$);
UPDATE odd SET during = '[5,6)' WHERE id = 2;
SELECT * FROM orm_ext.restore_preview('odd', 1);
SELECT * FROM orm_ext.restore('odd', 1);
SELECT * FROM odd ORDER BY id;
-- a deferrable key waits
CREATE TABLE late (id int PRIMARY KEY, n int, deleted_at timestamptz, UNIQUE NULLS NOT DISTINCT (n, deleted_at) DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER soft_delete BEFORE DELETE ON late FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO late VALUES (1, 1);
DELETE FROM late;
INSERT INTO late VALUES (2, 1);
SELECT * FROM orm_ext.restore_preview('late', 1);
BEGIN;
SELECT * FROM orm_ext.restore('late', 1);
DELETE FROM late WHERE id = 2;
COMMIT;
-- an index of one partition alone
CREATE TABLE part (id int, n int, deleted_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (1) TO (10);
CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (10) TO (20);
CREATE TRIGGER soft_delete BEFORE DELETE ON part FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE UNIQUE INDEX part_low_n ON part_low (n) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX part_key ON part (id, n) WHERE deleted_at IS NULL;
INSERT INTO part VALUES (1, 1), (11, 1), (12, 2);
DELETE FROM part;
INSERT INTO part VALUES (2, 1), (12, 1), (12, 2);
SELECT * FROM orm_ext.restore_preview_where('part', 'true');
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('part', 'true')$$);
SELECT * FROM orm_ext.restore_where('part', 'id = 11');

--
-- Parents that are missing
--
CREATE TABLE grand (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE parent (a int, b text, code text UNIQUE, grand int REFERENCES grand ON DELETE CASCADE, deleted boolean NOT NULL DEFAULT false, PRIMARY KEY (a, b));
CREATE TABLE child (id int PRIMARY KEY, a int, b text, code text COLLATE "C", deleted_at timestamptz,
	FOREIGN KEY (a, b) REFERENCES parent ON DELETE CASCADE, FOREIGN KEY (code) REFERENCES parent (code));
SELECT count(*) FROM unnest('{grand,child}'::text[]) AS t, orm_ext.enable_soft_delete(t::regclass);
SELECT count(*) FROM orm_ext.enable_soft_delete('parent', 'deleted');
INSERT INTO grand VALUES (1);
INSERT INTO parent VALUES (1, 'x"y', 'it''s', 1), (2, 'z', NULL, NULL);
INSERT INTO child VALUES (1, 1, 'x"y', NULL), (2, NULL, 'x', 'it''s'), (3, 2, 'z', 'it''s'), (4, 2, NULL, NULL);
DELETE FROM child WHERE id = 2;
DELETE FROM child WHERE id = 3;
DELETE FROM child WHERE id = 4;
DELETE FROM parent WHERE a = 1;
SELECT * FROM orm_ext.restore_preview('child', 1);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('child', 1)$$);
SELECT * FROM orm_ext.restore_preview('child', 2);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('child', 2)$$);
DELETE FROM parent WHERE a = 2;
SELECT * FROM orm_ext.restore_preview_where('child', 'true');
SELECT * FROM orm_ext.restore_preview_where('child', 'id = 4');
SELECT * FROM orm_ext.restore('child', 4);
SELECT * FROM orm_ext.restore('parent', '{"a": 2, "b": "z"}');
SELECT * FROM orm_ext.restore('parent', '{"a": 1, "b": "x\"y"}');
SELECT * FROM orm_ext.restore_where('child', 'true');
-- whose parents are missing themselves: the hint names where to begin
DELETE FROM child;
DELETE FROM grand;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('child', 'id = 1')$$);
-- and where the parent is gone for good there is nothing to call
ALTER TABLE child DROP CONSTRAINT child_code_fkey, DROP CONSTRAINT child_a_fkey;
BEGIN;
SET LOCAL orm_ext.delete_mode = 'hard';
DELETE FROM parent WHERE a = 1 AND deleted;
COMMIT;
ALTER TABLE child ADD FOREIGN KEY (code) REFERENCES parent (code) NOT VALID;
SELECT * FROM orm_ext.restore_preview('child', 2);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('child', 2)$$);
-- a deferred check waits for the parent
CREATE TABLE later (id int PRIMARY KEY, grand int REFERENCES grand DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON later FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT * FROM orm_ext.restore('grand', 1);
INSERT INTO later VALUES (1, 1);
DELETE FROM later;
DELETE FROM grand;
BEGIN;
SELECT * FROM orm_ext.restore('later', 1);
SELECT * FROM orm_ext.restore('grand', 1);
COMMIT;
DELETE FROM later;
DELETE FROM grand;
BEGIN;
SELECT * FROM orm_ext.restore('later', 1);
COMMIT;

--
-- What is wrong in a call
--
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('grand', 77)$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_preview('parent', '{"a": 7, "b": "it''s"}')$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('grand', 'x')$$);
SELECT * FROM orm_ext.restore('grand', NULL::int);
SELECT * FROM orm_ext.restore(NULL, 1);
SELECT * FROM orm_ext.restore_where('grand', NULL);
SELECT * FROM orm_ext.restore_deletion(NULL);
CREATE TABLE plain (id int PRIMARY KEY, deleted_at timestamptz);
CREATE VIEW grands AS SELECT * FROM grand;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('plain', 1)$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('grands', 1)$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where('pg_class', 'true')$$);
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore_where(0, 'true')$$);
ALTER TABLE grand DISABLE TRIGGER orm_soft_delete;
SELECT * FROM compare.refusal($$SELECT * FROM orm_ext.restore('grand', 1)$$);
ALTER TABLE grand ENABLE TRIGGER orm_soft_delete;
-- keys of all sorts
SELECT * FROM orm_ext.restore('grand', '1');
SELECT * FROM orm_ext.restore('grand', '1'::jsonb);
DELETE FROM grand;
SELECT * FROM orm_ext.restore('grand', '{"id": 1}'::jsonb);
DELETE FROM grand;
SELECT * FROM orm_ext.restore('grand', 1::bigint);
-- live already
SELECT * FROM orm_ext.restore('grand', 1);
SELECT * FROM orm_ext.restore_preview('grand', 1);
-- previews change nothing, and lock nothing
DELETE FROM grand;
SELECT xmax AS before FROM grand WHERE deleted_at IS NOT NULL \gset
BEGIN TRANSACTION READ ONLY;
SELECT * FROM orm_ext.restore_preview('grand', 1);
SELECT * FROM orm_ext.restore_preview_where('grand', 'true');
SELECT count(*) > 0 FROM orm_ext.deletions;
COMMIT;
SELECT xmax = :before FROM grand WHERE deleted_at IS NOT NULL;

DROP SCHEMA soft CASCADE;
