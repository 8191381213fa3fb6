--
-- COPY with on_conflict and what COPY can do since PostgreSQL 16: DEFAULT.
--
SELECT current_setting('server_version_num')::int < 160000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE SEQUENCE counter;
CREATE TABLE item (id int PRIMARY KEY, name text DEFAULT 'default', n int NOT NULL DEFAULT nextval('counter'), made date);
INSERT INTO item VALUES (1, 'one', 10, NULL), (2, 'two', 20, NULL);

-- a default that is asked for is as good as an absent value: the default of a new
-- row, while an existing one stays as it is
BEGIN;
COPY item FROM STDIN WITH (on_conflict 'update', DEFAULT '\D');
1	\D	\D	2001-01-01
9	\D	\D	\N
8	eight	8	2001-01-01
\.
SELECT * FROM orm_ext.last_bulk_result();
SELECT * FROM item ORDER BY id;
ROLLBACK;
BEGIN;
COPY item (id, name) FROM STDIN WITH (FORMAT csv, on_conflict 'update', DEFAULT 'the default');
1,the default
9,the default
2,two
\.
SELECT id, name FROM item ORDER BY id;
ROLLBACK;
-- with the setting, and skipped where nothing is asked for
SET orm_ext.copy_on_conflict = 'nothing';
BEGIN;
COPY item (id, name) FROM STDIN WITH (DEFAULT '\D');
1	\D
9	\D
\.
SELECT id, name FROM item ORDER BY id;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
