--
-- The view orm_ext.deletions: what was deleted together, when and by whom.
--
CREATE ROLE regress_orm_client;
CREATE SCHEMA soft;
GRANT USAGE ON SCHEMA soft TO PUBLIC;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET timezone = 'UTC';
SELECT * FROM orm_ext.deletions;
CREATE TABLE a (id int PRIMARY KEY, deleted_at timestamptz, deleted_by text);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, removed timestamp, deleted_by bigint);
CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, deleted boolean NOT NULL DEFAULT false);
CREATE TABLE d (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, gone bigint NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
CREATE TABLE d1 PARTITION OF d FOR VALUES FROM (1) TO (3);
CREATE TABLE d2 PARTITION OF d DEFAULT;
CREATE TABLE heir () INHERITS (a);
SELECT count(*) FROM orm_ext.enable_soft_delete('a');
SELECT count(*) FROM orm_ext.enable_soft_delete('b', 'removed');
SELECT count(*) FROM orm_ext.enable_soft_delete('c', 'deleted');
SELECT count(*) FROM orm_ext.enable_soft_delete('d', 'gone');
INSERT INTO a SELECT generate_series(1, 4);
INSERT INTO heir VALUES (1);
INSERT INTO b SELECT i, (i + 1) / 2 FROM generate_series(1, 8) AS i;
INSERT INTO c SELECT i, (i + 1) / 2 FROM generate_series(1, 8) AS i;
INSERT INTO d SELECT i, (i + 1) / 2 FROM generate_series(1, 8) AS i;

-- given times, so that they can be shown
SET orm_ext.actor = '7';
UPDATE a SET deleted_at = '2020-01-01 10:00:00.123456Z', deleted_by = 'alice' WHERE id = 1;
UPDATE ONLY a SET deleted_at = '2020-01-02 10:00:00Z' WHERE id IN (2, 3);
SELECT * FROM orm_ext.deletions ORDER BY deleted_at DESC, rel::text, rows;
-- in another time zone, the same times, but for those that were kept without one
SET timezone = 'Asia/Tokyo';
SELECT * FROM orm_ext.deletions ORDER BY deleted_at DESC, rel::text, rows;
SET timezone = 'UTC';
-- what a statement deletes is of one deletion, whatever the tables
DELETE FROM a WHERE id = 4;
SELECT count(*), count(DISTINCT deleted_at), max(deleted_at) BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'
FROM orm_ext.deletions WHERE deleted_at > '2021-01-01';
SELECT rel, rows, deleted_by FROM orm_ext.deletions WHERE deleted_at > '2021-01-01' OR deleted_at IS NULL ORDER BY rel::text, rows;
-- a restore takes it off the list
SELECT * FROM orm_ext.restore('a', 4);
SELECT * FROM orm_ext.restore_deletion('2020-01-02 10:00:00Z');
SELECT * FROM orm_ext.deletions ORDER BY deleted_at DESC, rel::text, rows;
-- stamps that are none, and the end of time
UPDATE d SET gone = 9223372036854775807 WHERE id = 8;
UPDATE d SET gone = -9223372036854775808 WHERE id = 7;
UPDATE d SET gone = 1 WHERE id = 6;
UPDATE b SET removed = 'infinity' WHERE id = 8;
UPDATE b SET removed = '294276-12-31 23:59:59' WHERE id = 7;
UPDATE b SET removed = '-infinity' WHERE id = 6;
SELECT * FROM orm_ext.deletions WHERE rel IN ('b'::regclass, 'd'::regclass) ORDER BY rel::text, deleted_at, rows;
SELECT * FROM orm_ext.restore_where('d', 'id > 5');
SELECT * FROM orm_ext.restore_where('b', 'id = 7');
SELECT * FROM orm_ext.restore_deletion('infinity');
SELECT * FROM orm_ext.restore_deletion('-infinity');

--
-- Only tables that the reader may read, and the rows of them that it may see
--
CREATE FUNCTION as_client() RETURNS TABLE (deleted_at timestamptz, deleted_by text, rel regclass, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE regress_orm_client;
	RETURN QUERY SELECT * FROM orm_ext.deletions AS d ORDER BY d.deleted_at, d.rel::text;
	RESET ROLE;
END
$$;
SELECT * FROM as_client();
GRANT SELECT (deleted_at) ON a TO regress_orm_client;
GRANT SELECT (deleted) ON c TO regress_orm_client;
SELECT * FROM as_client();
GRANT SELECT (deleted_by) ON a TO regress_orm_client;
GRANT SELECT ON b, c TO regress_orm_client;
SELECT * FROM as_client();
ALTER TABLE b ENABLE ROW LEVEL SECURITY;
SELECT * FROM as_client();
CREATE POLICY odd ON b USING (id % 2 = 1);
SELECT * FROM as_client();

--
-- Whatever the session sees otherwise; and tables that are no longer under soft delete
--
SET orm_ext.deleted_rows = 'show';
SELECT rel, rows FROM orm_ext.deletions ORDER BY rel::text;
SET orm_ext.deleted_rows = 'only';
SELECT rel, rows FROM orm_ext.deletions ORDER BY rel::text;
RESET orm_ext.deleted_rows;
ALTER TABLE d DISABLE TRIGGER orm_soft_delete;
SELECT rel, rows FROM orm_ext.deletions ORDER BY rel::text;
DROP TABLE c, d;
SELECT rel, rows FROM orm_ext.deletions ORDER BY rel::text;
CREATE TEMP TABLE scratch (id int, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON scratch FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
INSERT INTO scratch VALUES (1);
DELETE FROM scratch;
SELECT rel, rows FROM orm_ext.deletions ORDER BY rel::text;
-- boolean markers: one line for each transaction
CREATE TABLE flag (id int PRIMARY KEY, deleted boolean NOT NULL DEFAULT false);
SELECT count(*) FROM orm_ext.enable_soft_delete('flag', 'deleted');
INSERT INTO flag SELECT generate_series(1, 6);
DELETE FROM flag WHERE id < 3;
DELETE FROM flag WHERE id = 4;
SELECT rows FROM orm_ext.deletions WHERE rel = 'flag'::regclass ORDER BY rows;

DROP SCHEMA soft CASCADE;
DROP ROLE regress_orm_client;
