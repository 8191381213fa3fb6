--
-- Row-level security: the policies for SELECT and DELETE decide as they would
-- for a plain table; none for UPDATE is asked.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CREATE ROLE regress_orm_user;
CREATE ROLE regress_orm_owner;
CREATE ROLE regress_orm_admin BYPASSRLS;
CALL compare.in_both($$
	CREATE TABLE post (id int PRIMARY KEY, owner text, title text, deleted_at timestamptz);
	INSERT INTO post SELECT i, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END, 'post ' || i FROM generate_series(1, 20) AS i;
	GRANT ALL ON post TO regress_orm_user, regress_orm_admin;
	ALTER TABLE post ENABLE ROW LEVEL SECURITY;
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
GRANT USAGE ON SCHEMA soft, twin TO PUBLIC;
CALL compare.in_both('DELETE FROM post WHERE id IN (3, 4, 7, 8)');
\pset format unaligned
\pset tuples_only on

-- no policy: nothing is seen, nothing deleted
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post');

-- reading is allowed, deleting is not
CALL compare.in_both('CREATE POLICY reading ON post FOR SELECT USING (true)');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post RETURNING *');
SELECT compare.as_role('regress_orm_user', 'UPDATE post SET title = NULL');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING (SELECT 1 AS id) AS v ON v.id = post.id WHEN MATCHED THEN DELETE');

-- a policy for DELETE decides which rows
CALL compare.in_both($$CREATE POLICY deleting ON post FOR DELETE USING (owner = 'odd')$$);
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post WHERE id < 10 RETURNING *');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post AS p USING post AS q WHERE q.id = p.id + 1 RETURNING p.id');
SELECT compare.as_role('regress_orm_user', 'WITH d AS (DELETE FROM post RETURNING id) SELECT count(*) FROM d');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING (SELECT 1 AS id) AS v ON v.id = post.id WHEN MATCHED THEN DELETE');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING (SELECT 2 AS id) AS v ON v.id = post.id WHEN MATCHED THEN DELETE');
SELECT compare.as_role('regress_orm_user', 'UPDATE post SET title = NULL');

-- policies for UPDATE have no say in it, nor have their checks
CALL compare.in_both($$CREATE POLICY updating ON post FOR UPDATE USING (owner = 'even') WITH CHECK (title <> 'post 6')$$);
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post WHERE id > 10 RETURNING id');
SELECT compare.as_role('regress_orm_user', 'UPDATE post SET title = id::text');
SELECT compare.as_role('regress_orm_user', 'UPDATE post SET title = ''post 6''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id AND post.owner = ''odd'' WHEN MATCHED THEN DELETE');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id AND post.owner = ''even'' WHEN MATCHED THEN UPDATE SET title = ''merged''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id AND post.owner = ''even'' WHEN MATCHED THEN DELETE');

-- a policy for SELECT that spells the marker, as people write it for soft
-- delete by hand, neither hinders a DELETE nor counts as a mention
CALL compare.in_both('DROP POLICY reading ON post');
CALL compare.in_both('CREATE POLICY reading ON post FOR SELECT USING (deleted_at IS NULL)');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post WHERE id = 1 RETURNING *');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post WHERE id = 2 RETURNING *');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING (SELECT 1 AS id) AS v ON v.id = post.id WHEN MATCHED THEN DELETE');

-- restrictive policies, sub-selects and functions in policies
CALL compare.in_both($$
	DROP POLICY reading ON post;
	CREATE FUNCTION live_posts() RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER
		AS 'BEGIN RETURN (SELECT count(*) FROM post); END';
	CREATE TABLE friend (name text, deleted_at timestamptz);
	INSERT INTO friend VALUES ('odd'), ('even');
	GRANT SELECT ON friend TO regress_orm_user;
	CREATE POLICY reading ON post FOR SELECT USING (owner IN (SELECT name FROM friend) AND live_posts() > 10);
	CREATE POLICY not_first ON post AS RESTRICTIVE FOR DELETE USING (id > 1);
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.friend
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post RETURNING *');
CALL compare.in_both('DELETE FROM friend WHERE name = ''even''');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post RETURNING *');
CALL compare.in_both('DELETE FROM friend');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post WHERE id > 0');
CALL compare.in_both('DROP TABLE friend CASCADE');
CALL compare.in_both('CREATE POLICY reading ON post FOR SELECT USING (true)');

-- one user's functions see nothing of the rows that another may not see
CALL compare.in_both($$
	CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
	AS $f$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $f$;
	DROP POLICY reading ON post;
	CREATE POLICY reading ON post FOR SELECT USING (id < 6);
$$);
SELECT compare.as_role('regress_orm_user', 'SELECT id FROM post WHERE tell(title)');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM post WHERE tell(title) RETURNING id');

-- owner, FORCE, BYPASSRLS
CALL compare.in_both('ALTER TABLE post OWNER TO regress_orm_owner');
SELECT compare.as_role('regress_orm_owner', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_owner', 'DELETE FROM post');
CALL compare.in_both('ALTER TABLE post FORCE ROW LEVEL SECURITY');
SELECT compare.as_role('regress_orm_owner', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_owner', 'DELETE FROM post');
SELECT compare.as_role('regress_orm_admin', 'SELECT * FROM post');
SELECT compare.as_role('regress_orm_admin', 'DELETE FROM post');

-- through views
CALL compare.in_both($$
	CREATE VIEW posts AS SELECT id, title FROM post;
	CREATE VIEW posts_invoker WITH (security_invoker, security_barrier) AS SELECT id, title FROM post WHERE id > 1;
	ALTER VIEW posts OWNER TO regress_orm_admin;
	GRANT ALL ON posts, posts_invoker TO regress_orm_user;
$$);
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM posts');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM posts RETURNING *');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM posts_invoker');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM posts_invoker RETURNING *');

-- row_security = off: an error for whom policies apply, everything for others
SET row_security = off;
SET ROLE regress_orm_user;
SELECT count(*) FROM soft.post;
DELETE FROM soft.post;
SET ROLE regress_orm_admin;
SELECT count(*) FROM soft.post;
RESET ROLE;
RESET row_security;
-- a plan is made anew for another role and setting
PREPARE posts AS SELECT string_agg(id::text, ' ' ORDER BY id) FROM soft.post;
EXECUTE posts;
SET ROLE regress_orm_user;
EXECUTE posts;
SET ROLE regress_orm_admin;
EXECUTE posts;
SET row_security = off;
EXECUTE posts;
RESET row_security;
EXECUTE posts;
RESET ROLE;

-- policies on partitions count for queries on these
CALL compare.in_both($$
	CREATE TABLE event (id int, kind text, deleted_at timestamptz) PARTITION BY LIST (kind);
	CREATE TABLE event_a (deleted_at timestamptz, kind text, id int);
	ALTER TABLE event ATTACH PARTITION event_a FOR VALUES IN ('a');
	INSERT INTO event SELECT i, 'a' FROM generate_series(1, 8) AS i;
	GRANT ALL ON event, event_a TO regress_orm_user;
	ALTER TABLE event ENABLE ROW LEVEL SECURITY;
	ALTER TABLE event_a ENABLE ROW LEVEL SECURITY;
	CREATE POLICY whole ON event USING (id > 2);
	CREATE POLICY part ON event_a USING (id > 4);
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.event
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CALL compare.in_both('DELETE FROM event WHERE id IN (3, 7)');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM event');
SELECT compare.as_role('regress_orm_user', 'SELECT * FROM event_a');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM event RETURNING *');
SELECT compare.as_role('regress_orm_user', 'DELETE FROM event_a RETURNING *');

-- MERGE that updates and deletes at once: each action has its own policies
SELECT compare.as_role('regress_orm_user', 'MERGE INTO event USING generate_series(1, 8) AS g ON g = event.id WHEN MATCHED AND g > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET kind = kind');
CALL compare.in_both($$
	DROP POLICY reading ON post;
	CREATE POLICY reading ON post FOR SELECT USING (true);
	CREATE POLICY adding ON post FOR INSERT WITH CHECK (title <> 'bad');
$$);
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id WHEN MATCHED AND post.owner = ''odd'' AND g > 1 THEN DELETE WHEN MATCHED AND post.owner = ''even'' THEN UPDATE SET title = ''fine''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id WHEN MATCHED AND post.owner = ''odd'' AND g > 1 THEN DELETE WHEN MATCHED AND post.owner = ''even'' THEN UPDATE SET title = ''post 6''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id WHEN MATCHED AND post.owner = ''even'' THEN DELETE WHEN MATCHED AND g > 1 THEN UPDATE SET title = ''fine''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id WHEN MATCHED AND post.owner = ''odd'' AND g > 1 THEN DELETE WHEN MATCHED AND g > 1 THEN UPDATE SET title = ''fine''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(1, 20) AS g ON g = post.id WHEN MATCHED AND g = 1 THEN DELETE WHEN MATCHED AND post.owner = ''even'' THEN UPDATE SET title = ''fine''');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(19, 23) AS g ON g = post.id WHEN MATCHED AND post.owner = ''odd'' THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''fine'' WHEN NOT MATCHED THEN INSERT VALUES (g, ''odd'', ''good'')');
SELECT compare.as_role('regress_orm_user', 'MERGE INTO post USING generate_series(19, 23) AS g ON g = post.id WHEN MATCHED AND post.owner = ''odd'' THEN DELETE WHEN MATCHED THEN UPDATE SET title = ''fine'' WHEN NOT MATCHED THEN INSERT VALUES (g, ''odd'', ''bad'')');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
DROP ROLE regress_orm_user, regress_orm_owner, regress_orm_admin;
