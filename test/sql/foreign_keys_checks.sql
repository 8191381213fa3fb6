--
-- The server checks references again of rows that the transaction has written
-- itself.  Rows that are deleted with what they refer to, and live rows that have
-- kept their references (SET NULL), pass as they do where deletes are real; what
-- has not been checked yet is.
--
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at kept kept_later';
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE child (id int PRIMARY KEY, n int, up int CONSTRAINT up_fk REFERENCES parent ON DELETE CASCADE,
		kept int CONSTRAINT kept_fk REFERENCES parent ON DELETE SET NULL, deleted_at timestamptz);
	CREATE TABLE later (id int PRIMARY KEY, n int, up int CONSTRAINT up_later_fk REFERENCES parent ON DELETE CASCADE DEFERRABLE,
		at_end int CONSTRAINT at_end_fk REFERENCES parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
		kept int CONSTRAINT kept_too_fk REFERENCES parent ON DELETE SET NULL,
		kept_later int CONSTRAINT kept_later_fk REFERENCES parent ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
	CREATE TABLE part (id int, g int, n int, kept int CONSTRAINT part_kept_fk REFERENCES parent ON DELETE SET NULL, deleted_at timestamptz,
		PRIMARY KEY (id, g)) PARTITION BY LIST (g);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
	CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
	CREATE TABLE own (id int, g int, n int, deleted_at timestamptz, PRIMARY KEY (id, g)) PARTITION BY LIST (g);
	CREATE TABLE own_1 PARTITION OF own FOR VALUES IN (1);
	CREATE TABLE own_2 PARTITION OF own FOR VALUES IN (2);
	ALTER TABLE own_2 ADD CONSTRAINT own_fk FOREIGN KEY (n) REFERENCES parent ON DELETE SET NULL;
	CREATE TABLE plain (id int PRIMARY KEY, n int, up int CONSTRAINT plain_fk REFERENCES parent);
	INSERT INTO parent SELECT generate_series(1, 9);
	INSERT INTO child VALUES (1, 0, NULL, 1), (2, 0, 2, NULL);
	INSERT INTO part VALUES (1, 1, 1, 1), (2, 1, 8, 2);
	INSERT INTO own VALUES (1, 1, 8);
$$);
SELECT compare.manage('parent', 'child', 'later', 'part', 'own');

--
-- Rows of this transaction that go with their parent, while a live one keeps its reference to it
--
SELECT compare.fk('INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); UPDATE child SET n = 1; DELETE FROM parent WHERE id = 1');
SELECT compare.fk('INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); UPDATE parent SET deleted_at = now() WHERE id = 1',
				  'INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); DELETE FROM parent WHERE id = 1');
SELECT compare.fk('INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); INSERT INTO parent VALUES (1) ON CONFLICT (id) DO UPDATE SET deleted_at = now()',
				  'INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); DELETE FROM parent WHERE id = 1');
SELECT compare.fk('INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); MERGE INTO parent USING (VALUES (1), (20)) AS s (id) ON parent.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)');
-- deferrable ones
SELECT compare.fk('INSERT INTO later VALUES (8, 0, 1, NULL, NULL, NULL), (9, 0, NULL, NULL, 1, NULL); DELETE FROM parent WHERE id = 1');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, NULL, 1, NULL, NULL), (9, 0, NULL, NULL, 1, NULL); DELETE FROM parent WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, NULL, NULL, 1, 1); DELETE FROM parent WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, NULL, NULL, 1, 1); DELETE FROM parent WHERE id = 1; UPDATE later SET n = 1; SET CONSTRAINTS ALL IMMEDIATE');
-- a row that is deleted already
SELECT compare.fk('UPDATE child SET n = 1; DELETE FROM parent WHERE id = 1; DELETE FROM child WHERE id = 2; UPDATE child SET kept = 1 WHERE id = 2 AND orm_ext.with_deleted(deleted_at)',
				  'UPDATE child SET n = 1; DELETE FROM parent WHERE id = 1; DELETE FROM child WHERE id = 2');

--
-- Live rows that keep their reference: another partition, ON CONFLICT DO UPDATE of one
--
SELECT compare.fk('DELETE FROM parent WHERE id = 1; UPDATE part SET g = 2 WHERE id = 1');
SELECT compare.fk('UPDATE part SET n = 2; DELETE FROM parent WHERE id = 1; UPDATE part SET g = 2 WHERE id = 1; UPDATE part SET g = 1 WHERE id = 1');
SELECT compare.fk('UPDATE part SET n = 2; DELETE FROM parent WHERE id = 1; INSERT INTO part VALUES (1, 1, 3, NULL) ON CONFLICT (id, g) DO UPDATE SET n = excluded.n');
-- but not a new reference to what is deleted
SELECT compare.fk('UPDATE part SET n = 2; DELETE FROM parent WHERE id IN (1, 8); UPDATE part SET g = 2, kept = 8 WHERE id = 1');
SELECT compare.fk('UPDATE part SET n = 2; DELETE FROM parent WHERE id IN (1, 8); INSERT INTO part VALUES (1, 1, 3, 8) ON CONFLICT (id, g) DO UPDATE SET n = 3, kept = excluded.kept');
SELECT compare.fk('UPDATE own SET n = 8; DELETE FROM parent WHERE id = 8; UPDATE own SET g = 2');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; INSERT INTO child VALUES (8, 0, NULL, 1)');
SELECT compare.fk('UPDATE child SET n = 1; DELETE FROM parent WHERE id = 1; UPDATE child SET kept = 1 WHERE id = 2');

--
-- A deleted row still has to refer to something
--
SELECT compare.fk('INSERT INTO later VALUES (8, 0, NULL, 20, NULL, NULL); SET CONSTRAINTS at_end_fk DEFERRED; INSERT INTO parent VALUES (20); DELETE FROM later; SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, NULL, 20, NULL, NULL); UPDATE later SET deleted_at = now(); SET CONSTRAINTS ALL IMMEDIATE', 'INSERT INTO later VALUES (8, 0, NULL, 20, NULL, NULL); SET CONSTRAINTS ALL IMMEDIATE');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, NULL, 20, NULL, NULL); UPDATE later SET deleted_at = now(); INSERT INTO parent VALUES (20); SET CONSTRAINTS ALL IMMEDIATE', 'INSERT INTO parent VALUES (20); SET CONSTRAINTS ALL IMMEDIATE');

--
-- Triggers that write a row again, before and after the server's own
--
CALL compare.in_both($$
	CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		IF pg_trigger_depth() = 1 THEN
			EXECUTE format('UPDATE %I.%I SET n = n WHERE id = $1', tg_table_schema, tg_table_name) USING NEW.id;
		END IF;
		RETURN NULL;
	END$f$;
	CREATE TRIGGER "A" AFTER INSERT OR UPDATE ON child FOR EACH ROW EXECUTE FUNCTION again();
	CREATE TRIGGER z AFTER INSERT OR UPDATE ON later FOR EACH ROW EXECUTE FUNCTION again();
	CREATE TRIGGER "A" AFTER INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION again();
$$);
SELECT compare.fk('INSERT INTO child VALUES (8, 0, 20, NULL)');
SELECT compare.fk('INSERT INTO child VALUES (8, 0, NULL, 20)');
SELECT compare.fk('UPDATE child SET up = 20');
SELECT compare.fk('INSERT INTO child VALUES (2, 0, NULL, NULL) ON CONFLICT (id) DO UPDATE SET up = 20');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, 20, NULL, NULL, NULL)');
SELECT compare.fk('INSERT INTO plain VALUES (1, 0, 20)');
SELECT compare.fk('INSERT INTO plain VALUES (1, 0, 1); UPDATE plain SET up = 20');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; INSERT INTO plain VALUES (1, 0, 1)');
SELECT compare.fk('DELETE FROM parent WHERE id = 1; UPDATE child SET n = 2; UPDATE child SET n = 3');
SELECT compare.fk('INSERT INTO child VALUES (8, 0, 1, NULL), (9, 0, NULL, 1); UPDATE child SET n = 1; DELETE FROM parent WHERE id = 1; UPDATE child SET n = 2');
SELECT compare.fk('INSERT INTO later VALUES (8, 0, 1, NULL, NULL, NULL), (9, 0, NULL, NULL, 1, NULL); DELETE FROM parent WHERE id = 1; UPDATE later SET n = 2; SET CONSTRAINTS ALL IMMEDIATE');

--
-- At the end of the transaction
--
SET search_path = soft;
BEGIN;
INSERT INTO later VALUES (8, 0, NULL, NULL, 3, 3);
DELETE FROM parent WHERE id = 3;
COMMIT;
BEGIN;
INSERT INTO later VALUES (9, 0, NULL, 3, NULL, NULL);
COMMIT;
SELECT id, kept, kept_later FROM later ORDER BY id;
RESET search_path;

--
-- A preview looks at the foreign keys of partitions, too
--
SET search_path = soft;
CREATE TABLE listed (id int, g int, up int, deleted_at timestamptz, PRIMARY KEY (id, g)) PARTITION BY LIST (g);
CREATE TABLE listed_1 PARTITION OF listed FOR VALUES IN (1);
CREATE TABLE listed_2 PARTITION OF listed FOR VALUES IN (2);
ALTER TABLE listed_2 ADD CONSTRAINT listed_2_fk FOREIGN KEY (up) REFERENCES parent ON DELETE CASCADE;
SELECT compare.manage('listed');
INSERT INTO listed VALUES (1, 1, 4), (2, 2, 4);
DELETE FROM listed;
DELETE FROM parent WHERE id = 4;
SELECT rel::text, rows, problem FROM orm_ext.restore_preview_where('listed', 'id = 1');
SELECT rel::text, rows, problem FROM orm_ext.restore_preview_where('listed', 'id = 2');
RESET search_path;

--
-- A row that COPY has just made is written again before it is checked
--
CALL compare.in_both($$
	CREATE FUNCTION once_more() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN UPDATE copied SET n = n + 1 WHERE id = 1; RETURN 0; END $f$;
	CREATE TABLE copied (id int PRIMARY KEY, up int REFERENCES parent, n int DEFAULT once_more(), deleted_at timestamptz);
$$);
SELECT compare.manage('copied');
SET search_path = soft;
COPY copied (id, up) FROM stdin;
1	99
2	1
\.
SET search_path = twin;
COPY copied (id, up) FROM stdin;
1	99
2	1
\.
RESET search_path;
