-- The showcase of `make demo`: a small shop, as an ORM sees it and as it really is.
--
-- test/demo/play runs it; psql -f can as well.  A line "--- text" is a chapter, "-- text" is
-- shown to the reader, and "-- @word" tells how the next statement is played:
--     @quiet         not shown, nor its answer
--     @both          answered twice: as the application sees it, and with deleted rows
--     @list          the answer is shown as plain lines
--     @fails TEXT    the statement must fail, with TEXT in its message
-- The text up to here is not shown.

-- orm_ext keeps what is deleted, and no application can tell.
--
-- On the left stands what any client sees: an ORM, psql, a report.  On the right stands the answer
-- to the same query with  SET orm_ext.deleted_rows = 'show';

--- 1. A shop as any ORM's migration creates it

-- Nothing in these tables knows of soft delete.

CREATE TABLE users  (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     name text NOT NULL, email text NOT NULL UNIQUE);

CREATE TABLE posts  (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     user_id int NOT NULL REFERENCES users ON DELETE CASCADE, title text NOT NULL);

CREATE TABLE post_tags (post_id int REFERENCES posts ON DELETE CASCADE, tag text, PRIMARY KEY (post_id, tag));

CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     user_id int NOT NULL REFERENCES users, item text NOT NULL,
                     total numeric(8,2) NOT NULL);

CREATE TABLE articles (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                       slug text NOT NULL UNIQUE, status text NOT NULL);

-- @quiet
INSERT INTO users (name, email) VALUES
    ('Ann', 'ann@example.org'), ('Bob', 'bob@example.org'), ('Chloe', 'chloe@example.org'),
    ('Dan', 'dan@example.org'), ('Eve', 'eve@example.org');

-- @quiet
INSERT INTO posts (user_id, title) VALUES
    (1, 'The engine'), (1, 'Numbers'), (3, 'On tabs'), (2, 'Thinking'), (2, 'Patterns');

-- @quiet
INSERT INTO post_tags VALUES
    (1, 'engines'), (1, 'history'), (2, 'maths'), (3, 'rants'), (3, 'style'), (4, 'machines'),
    (5, 'biology'), (5, 'maths');

-- @quiet
INSERT INTO orders (user_id, item, total) VALUES
    (1, 'punched cards', 24.00), (2, 'bicycle chain', 18.50), (3, 'fountain pen', 120.00),
    (1, 'loom, used', 310.00), (5, 'tin of mints', 3.20), (2, 'apples, 1 kg', 4.80);

-- @quiet
INSERT INTO articles (slug, status)
SELECT 'article-' || i, CASE WHEN i % 3 = 0 THEN 'draft' ELSE 'published' END
FROM generate_series(1, 30000) i;

--- 2. One line for the database, one for each table

CREATE EXTENSION orm_ext;

-- New sessions of this database load the library from now on.  No restart.

SELECT orm_ext.preload();

-- This adds the column and a trigger that declares it, and prints the SQL that it ran.

-- @list
SELECT orm_ext.enable_soft_delete('users');

-- @quiet
SELECT orm_ext.enable_soft_delete('posts');

-- @quiet
SELECT orm_ext.enable_soft_delete('orders');

-- @quiet
SELECT orm_ext.enable_soft_delete('articles');

-- @quiet
ANALYZE;

-- posts, orders and articles likewise.

--- 3. The application deletes

-- session.delete(user), user.destroy(), repository.remove(user): they all end in this.

DELETE FROM users WHERE email = 'dan@example.org';

-- The same row again: gone, as far as anyone can tell.

DELETE FROM users WHERE email = 'dan@example.org';

-- @both
SELECT id, name, deleted_at::time(0) AS deleted FROM users ORDER BY id;

-- RETURNING gives the rows as they were.

DELETE FROM orders WHERE total < 10 RETURNING id, item, total, deleted_at;

-- Deleting in bulk: one statement, one stamp.

DELETE FROM articles WHERE status = 'draft';

-- @both
SELECT status, count(*) FROM articles GROUP BY status ORDER BY status;

--- 4. Joins, views and sums follow

DELETE FROM posts WHERE title = 'On tabs';

-- @both
SELECT p.title, u.name AS author, string_agg(t.tag, ', ' ORDER BY t.tag) AS tags
FROM posts p JOIN users u ON u.id = p.user_id JOIN post_tags t ON t.post_id = p.id
GROUP BY p.id, u.id ORDER BY p.id;

-- @both
SELECT u.name, count(o.id) AS orders, sum(o.total) AS spent
FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id ORDER BY u.id;

CREATE VIEW turnover AS SELECT count(*) AS orders, sum(total) AS total FROM orders;

-- @both
SELECT * FROM turnover;

--- 5. Unique means unique among the living

-- Dan signs up again with the address of his deleted account.

INSERT INTO users (name, email) VALUES ('Dan', 'dan@example.org') RETURNING id, email;

-- The upsert that every ORM writes finds the living row and leaves the deleted one alone.

INSERT INTO users (name, email) VALUES ('Dan again', 'dan@example.org')
ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING id, name;

-- @both
SELECT id, email, deleted_at::time(0) AS deleted FROM users WHERE id >= 4 ORDER BY id;

--- 6. Looking into the bin, and back out of it

-- A query that mentions deleted_at in its conditions is in charge.

SELECT id, item, total FROM orders WHERE deleted_at IS NOT NULL ORDER BY id;

-- What an ORM's restore() sends is a plain UPDATE.

UPDATE orders SET deleted_at = NULL WHERE item = 'tin of mints';

-- @both
SELECT id, item, deleted_at::time(0) AS deleted FROM orders ORDER BY id;

-- Two living rows with one address are still one too many.
-- @fails duplicate key value

UPDATE users SET deleted_at = NULL WHERE id = 4;

--- 7. For good

-- Whoever deletes what is deleted means it: from the bin, a DELETE is final.

DELETE FROM orders WHERE deleted_at < now() RETURNING id, item;

-- @both
SELECT id, item, deleted_at::time(0) AS deleted FROM orders ORDER BY id;

--- 8. Foreign keys mean what they say, and so does the way back

-- Bob has an order, which refers to him without a CASCADE.
-- @fails violates foreign key constraint

DELETE FROM users WHERE name = 'Bob';

-- His posts are ON DELETE CASCADE: without the order he goes, and they go with him.

DELETE FROM orders WHERE user_id = 2;

DELETE FROM users WHERE name = 'Bob';

-- @both
SELECT id, title, deleted_at::time(0) AS deleted FROM posts ORDER BY id;

-- One call brings back exactly what went with him; the post that was deleted before stays where it is.

SELECT * FROM orm_ext.restore('users', 2);

-- @both
SELECT id, title, deleted_at::time(0) AS deleted FROM posts ORDER BY id;

-- What lies in the bin, by deletion, and what a nightly job would remove for good.

SELECT rel, deleted_at::time(0), rows FROM orm_ext.deletions ORDER BY deleted_at;

CALL orm_ext.purge('posts', older_than => '90 days', dry_run => true);

--- 9. And the plan is the one you would have written

-- The condition is a plain "deleted_at IS NULL", so the partial unique index serves it.

EXPLAIN (COSTS OFF) SELECT * FROM articles WHERE slug = 'article-20000';

EXPLAIN (COSTS OFF) DELETE FROM articles WHERE slug = 'article-20000';

--- 10. Versions and timestamps, for every client

-- Any of the columns that ORMs use; the server keeps them from now on.

ALTER TABLE users ADD version_id int NOT NULL DEFAULT 1, ADD updated_at timestamptz;

SELECT * FROM orm_ext.manage('users');

-- Two clients have read version 1 of the row.  The first one writes.

UPDATE users SET name = 'Anne', version_id = 2 WHERE email = 'ann@example.org' AND version_id = 1
RETURNING name, version_id;

-- The second one does what its ORM does: no row, so the ORM says that its copy is stale.

UPDATE users SET name = 'Annie', version_id = 2 WHERE email = 'ann@example.org' AND version_id = 1;

-- Raw SQL that knows of no version is noticed all the same.

UPDATE users SET name = 'Anna' WHERE email = 'ann@example.org' RETURNING name, version_id;

-- A client that cannot put the version into its conditions says what it has read.

-- @fails is stale
SELECT orm_ext.delete_checked('users', 1, '1');

--- 11. Names, right at birth

-- Constraints and indexes without a name get one by your convention: here one with the
-- kind of thing in front.

INSERT INTO orm_ext.naming_template (kind, template) VALUES
	('fk', 'fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s'),
	('uq', 'uq_%(table_name)s_%(column_0_N_name)s');

CREATE TABLE invoices (id int PRIMARY KEY, user_id int REFERENCES users, year int, number int,
	UNIQUE (year, number));

-- A name that does not follow is named, with the one that would.

CREATE INDEX index_invoices_on_user_id ON invoices (user_id);

SELECT name, expected FROM orm_ext.naming_violations WHERE "table" = 'invoices';

CALL orm_ext.apply_naming('public', dry_run => false);

SELECT kind, name, conforms FROM orm_ext.naming_audit() WHERE "table" = 'invoices';

--- 12. What else there is to mend

-- The linter knows the schemas that ORMs make; each finding brings the statement that mends it.

SELECT rule, severity, object, fix FROM orm_ext.lint('public') WHERE severity <> 'info';

--- 13. A list from elsewhere

-- Some rows are known, some are new, one was deleted: one call, and what became of each.

SELECT ordinal, action, (result).id, (result).slug, (result).status
FROM orm_ext.bulk_upsert_returning(NULL::articles, '[
    {"slug": "article-2", "status": "archived"},
    {"slug": "article-1", "status": "published"},
    {"slug": "article-3", "status": "published"},
    {"slug": "welcome", "status": "draft"}]',
    conflict => '{slug}', on_deleted => 'revive');

-- The same from a file or a program, as COPY reads it.

COPY articles (slug, status) FROM PROGRAM 'printf "welcome,published\nthanks,draft\narticle-4,published\n"'
WITH (FORMAT csv, on_conflict 'update', conflict_columns (slug));

-- Every article once more: they are as they were, so nothing is locked, written or stamped.

SELECT * FROM orm_ext.bulk_upsert(ARRAY(SELECT a FROM articles a));
