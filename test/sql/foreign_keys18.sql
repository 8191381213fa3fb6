--
-- What is new in PostgreSQL 18: foreign keys with PERIOD, and NOT ENFORCED.
--
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
CALL compare.start_over();
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
SET compare.left_out = 'deleted_at';

CALL compare.in_both($$
	CREATE TABLE room (id int4range, period daterange, n int DEFAULT 0, deleted_at timestamptz, PRIMARY KEY (id, period WITHOUT OVERLAPS));
	INSERT INTO room VALUES ('[1,2)', '[2020-01-01,2021-01-01)'), ('[1,2)', '[2021-01-01,2022-01-01)'), ('[2,3)', '[2020-01-01,2021-01-01)');
	CREATE TABLE booking (id int PRIMARY KEY, room_id int4range, period daterange, deleted_at timestamptz,
		CONSTRAINT booking_room FOREIGN KEY (room_id, PERIOD period) REFERENCES room (id, PERIOD period));
	INSERT INTO booking VALUES (1, '[1,2)', '[2020-06-01,2021-06-01)'), (2, '[1,2)', '[2020-06-01,2020-07-01)'), (3, NULL, '[2020-06-01,2020-07-01)');
$$);
-- each row is compared by its id
CALL compare.in_both('ALTER TABLE room ADD COLUMN number int; UPDATE room SET number = lower(id) * 10000 + extract(year FROM lower(period))');
CALL compare.in_both('ALTER TABLE room RENAME COLUMN id TO room_id; ALTER TABLE room RENAME COLUMN number TO id');
SELECT compare.manage('room', 'booking');
-- ranges that live rows need
SELECT compare.fk('DELETE FROM room WHERE id = 12020');
SELECT compare.fk('DELETE FROM room WHERE id = 12021');
SELECT compare.fk('DELETE FROM room WHERE id = 22020');
SELECT compare.fk('UPDATE room SET deleted_at = now() WHERE id = 12021', 'DELETE FROM room WHERE id = 12021');
SELECT compare.fk('DELETE FROM room');
SELECT compare.fk('DELETE FROM booking');
SELECT compare.fk('UPDATE room SET period = ''[2020-03-01,2021-01-01)'' WHERE id = 12020');
SELECT compare.fk('UPDATE room SET period = ''[2020-06-02,2021-01-01)'' WHERE id = 12020');
SELECT compare.fk('UPDATE room SET n = 1');
-- references to ranges that are not there any more
SELECT compare.keep('DELETE FROM room WHERE id = 22020');
SELECT compare.fk('INSERT INTO booking VALUES (4, ''[2,3)'', ''[2020-06-01,2020-07-01)'')');
SELECT compare.fk('UPDATE booking SET room_id = ''[2,3)'' WHERE id = 2');
SELECT compare.fk('UPDATE booking SET period = ''[2020-06-01,2022-07-01)'' WHERE id = 2');
SELECT compare.fk('UPDATE booking SET period = ''[2021-01-01,2021-07-01)'' WHERE id = 2');
SELECT compare.keep('DELETE FROM booking WHERE id = 1');
SELECT compare.keep('DELETE FROM room WHERE id = 12021');
SELECT compare.fk('UPDATE booking SET period = ''[2020-06-01,2021-06-01)'' WHERE id = 2');
SELECT compare.fk('INSERT INTO room VALUES (''[1,2)'', ''[2022-01-01,2023-01-01)'', 1, NULL, 12022); UPDATE booking SET period = ''[2022-06-01,2022-07-01)'' WHERE id = 2');
SELECT compare.fk('DELETE FROM booking WHERE id = 2');
-- written before in the same transaction
SELECT compare.fk('UPDATE booking SET room_id = room_id WHERE id = 2; DELETE FROM room WHERE id = 12020');
SELECT compare.fk('UPDATE booking SET period = ''[2020-06-05,2020-06-07)'' WHERE id = 2; DELETE FROM booking WHERE id = 2; DELETE FROM room WHERE id = 12020');
-- the way back
SELECT * FROM orm_ext.restore_preview('soft.booking', 1);
SELECT * FROM orm_ext.restore('soft.booking', 1);
SELECT * FROM orm_ext.restore_where('soft.room', 'room_id = ''[1,2)'' AND period && ''[2020-06-01,2021-06-01)''');
SELECT * FROM orm_ext.restore_preview('soft.booking', 1);
SELECT * FROM orm_ext.restore('soft.booking', 1);
SELECT id FROM soft.booking ORDER BY id;
-- a deleted row must not be left with a reference to nothing, by a real DELETE
DELETE FROM soft.booking;
DELETE FROM soft.room;
SET orm_ext.delete_mode = 'hard';
DELETE FROM soft.room WHERE id = 12021 AND orm_ext.with_deleted(deleted_at);
DELETE FROM soft.room WHERE id = 22020 AND orm_ext.with_deleted(deleted_at);
RESET orm_ext.delete_mode;

--
-- NOT ENFORCED: nobody looks after it, which the comparison calls dangling
--
CALL compare.start_over();
SET compare.left_out = 'deleted_at';
CALL compare.in_both($$
	CREATE TABLE parent (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE child (id int PRIMARY KEY, parent_id int, deleted_at timestamptz,
		CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES parent ON DELETE CASCADE NOT ENFORCED);
	INSERT INTO parent VALUES (1), (2);
	INSERT INTO child VALUES (1, 1), (2, 7);
$$);
SELECT compare.manage('parent', 'child');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
SELECT compare.fk('INSERT INTO child VALUES (3, 9)');
CALL compare.in_both('UPDATE child SET parent_id = 2 WHERE id = 2; ALTER TABLE child ALTER CONSTRAINT child_parent ENFORCED');
SELECT compare.fk('DELETE FROM parent WHERE id = 1');
SELECT compare.fk('INSERT INTO child VALUES (3, 9)');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
