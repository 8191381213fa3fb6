--
-- COPY with on_conflict and what COPY can do since PostgreSQL 17: ON_ERROR, and
-- FORCE_NULL of all columns.
--
SELECT current_setting('server_version_num')::int < 170000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE TABLE item (id int PRIMARY KEY, name text, n int CHECK (n > 0));
INSERT INTO item VALUES (1, 'one', 1), (2, 'two', 2);

-- rows that cannot be read are passed over, and are not counted
\set QUIET off
BEGIN;
COPY item FROM STDIN WITH (on_conflict 'update', ON_ERROR ignore);
1	x	10
two	y	20
9	z	nine
8	w	8
\.
SELECT * FROM orm_ext.last_bulk_result();
SELECT * FROM item ORDER BY id;
ROLLBACK;
\set QUIET on
SET client_min_messages = warning;
BEGIN;
COPY item FROM STDIN WITH (FORMAT csv, on_conflict 'nothing', ON_ERROR ignore, LOG_VERBOSITY verbose);
1,x,10
two,y,20
9,z,
\.
SELECT * FROM item ORDER BY id;
ROLLBACK;
RESET client_min_messages;
-- rows that cannot be written are no such rows
\set VERBOSITY terse
COPY item FROM STDIN WITH (on_conflict 'update', ON_ERROR ignore);
1	x	-10
\.
COPY item FROM STDIN WITH (on_conflict 'update', ON_ERROR stop);
1	x	ten
\.
\set VERBOSITY default

BEGIN;
COPY item FROM STDIN WITH (FORMAT csv, FORCE_NULL *, on_conflict 'update');
1,"",5
9,"",6
\.
SELECT id, name IS NULL, n FROM item ORDER BY id;
ROLLBACK;

SELECT * FROM item ORDER BY id;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
