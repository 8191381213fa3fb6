-- Fails unless a DELETE keeps the row, hides it, and has a way back.
SET client_min_messages = warning;
CREATE EXTENSION orm_ext;
SELECT orm_ext.preload();
\connect
SET client_min_messages = warning;
CREATE TABLE author (id int PRIMARY KEY, email text UNIQUE);
CREATE TABLE post (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE CASCADE);
SELECT orm_ext.enable_soft_delete('author'), orm_ext.enable_soft_delete('post');
INSERT INTO author (id, email) VALUES (1, 'ann@example.org'), (2, 'bob@example.org');
INSERT INTO post (id, author_id) VALUES (1, 1), (2, 1), (3, 2);
DELETE FROM author WHERE id = 1;
DO $$
BEGIN
	ASSERT (SELECT count(*) FROM author) = 1, 'the deleted row is hidden';
	ASSERT (SELECT count(*) FROM post) = 1, '... with what referred to it';
	ASSERT (SELECT count(*) FROM author WHERE deleted_at IS NOT NULL) = 1, '... and is still there';
	PERFORM orm_ext.restore('author', 1);
	ASSERT (SELECT count(*) FROM author) = 2 AND (SELECT count(*) FROM post) = 3, 'both come back';
	ASSERT (SELECT bool_and(action IS NULL) FROM orm_ext.status()), 'nothing is left to be done';
END $$;
