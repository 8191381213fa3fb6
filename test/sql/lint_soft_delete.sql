--
-- lint(): tables under soft delete, versions, triggers, the library.
--
CREATE SCHEMA soft;
SET search_path = soft;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
-- to plan lint() without caches takes minutes
SET debug_discard_caches = 0;
UPDATE orm_ext.lint_rule SET enabled = category IN ('soft delete', 'policies') WHERE enabled;

--
-- soft_delete_full_unique
--
CREATE TABLE users (
	id bigint PRIMARY KEY,
	deleted_at timestamptz,
	tenant int, email text, login text, "Nick name" text, code int, seat int, badge int NOT NULL, place point,
	version int NOT NULL,
	CONSTRAINT users_email_key UNIQUE (email),						-- full
	CONSTRAINT users_login_key UNIQUE (login, deleted_at),			-- live rows unguarded
	CONSTRAINT users_seat_key UNIQUE (seat) DEFERRABLE,				-- these two as enable_soft_delete() leaves them
	CONSTRAINT users_code_key UNIQUE (code)
);
CREATE TABLE refers (id bigint PRIMARY KEY, code int REFERENCES users (code));
CREATE UNIQUE INDEX users_badge ON users (badge);					-- replica identity
ALTER TABLE users REPLICA IDENTITY USING INDEX users_badge;
CREATE UNIQUE INDEX users_live ON users (tenant) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_live_and ON users (tenant, login) WHERE tenant > 0 AND deleted_at IS NULL AND login <> ')''(';
CREATE UNIQUE INDEX users_nulls ON users (tenant, email, deleted_at) NULLS NOT DISTINCT;
-- the condition is there, and does not hold for all that the index has
CREATE UNIQUE INDEX users_live_or ON users (tenant, login) WHERE tenant > 0 OR deleted_at IS NULL;
CREATE UNIQUE INDEX users_live_not ON users (login) WHERE NOT (deleted_at IS NULL AND tenant > 0);
CREATE UNIQUE INDEX users_live_text ON users (login) WHERE email <> '(deleted_at IS NULL)' AND tenant > 0;
CREATE UNIQUE INDEX users_inverted ON users (email) WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX users_inverted_and ON users (email) WHERE deleted_at IS NOT NULL AND tenant > 0;
CREATE UNIQUE INDEX users_partly ON users (lower(email) DESC, tenant) WHERE tenant > 0;
CREATE UNIQUE INDEX users_nick ON users ("Nick name", (tenant + 1)) INCLUDE (login) WITH (fillfactor = 70);
CREATE UNIQUE INDEX users_with_marker ON users (tenant, deleted_at, "Nick name") INCLUDE (login, code) WHERE tenant > 0;
CREATE UNIQUE INDEX users_with_marker_lower ON users (lower(login), deleted_at);
CREATE TABLE flagged (id bigint PRIMARY KEY, email text, "gone ' by" boolean NOT NULL);
CREATE UNIQUE INDEX flagged_live_1 ON flagged (email) WHERE NOT "gone ' by";
CREATE UNIQUE INDEX flagged_live_2 ON flagged (email) WHERE "gone ' by" = false AND email <> '';
CREATE UNIQUE INDEX flagged_live_3 ON flagged (email) WHERE "gone ' by" IS FALSE;
CREATE UNIQUE INDEX flagged_live_4 ON flagged (email) WHERE "gone ' by" IS NOT TRUE;
CREATE UNIQUE INDEX flagged_inverted ON flagged (email) WHERE "gone ' by";
CREATE UNIQUE INDEX flagged_full ON flagged (email);
CREATE UNIQUE INDEX flagged_with_marker ON flagged (email, "gone ' by");	-- a second deleted row would be one too many
CREATE TABLE numbered (id bigint PRIMARY KEY, email text, gone_micros bigint NOT NULL);
CREATE UNIQUE INDEX numbered_live ON numbered (email) WHERE gone_micros = 0;
CREATE UNIQUE INDEX numbered_with_marker ON numbered (email, gone_micros);	-- 0 is a value
CREATE UNIQUE INDEX numbered_inverted ON numbered (email) WHERE gone_micros <> 0;
CREATE UNIQUE INDEX numbered_full ON numbered (email);
CREATE TABLE parted (id bigint, email text, deleted_at timestamp, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
ALTER TABLE parted ADD CONSTRAINT parted_key UNIQUE (id, email);
CREATE UNIQUE INDEX parted_1_own ON parted_1 (email);
CREATE TABLE unmanaged (id bigint PRIMARY KEY, email text UNIQUE, deleted_at timestamptz);
CREATE TABLE disabled (id bigint PRIMARY KEY, email text UNIQUE, deleted_at timestamptz);
CREATE TRIGGER soft_delete BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON flagged FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone '' by');
CREATE TRIGGER soft_delete BEFORE DELETE ON numbered FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone_micros');
CREATE TRIGGER soft_delete BEFORE DELETE ON parted FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER "soft delete" BEFORE DELETE ON disabled FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
ALTER TABLE disabled DISABLE TRIGGER "soft delete";
SELECT object, message, fix FROM orm_ext.lint('soft') WHERE rule = 'soft_delete_full_unique';
-- a key that is to hold among all rows is exempted; what enable_soft_delete() makes is right
INSERT INTO orm_ext.lint_exemption VALUES ('soft_delete_full_unique', 'soft.users.users_live_not', NULL, 'on purpose');
CREATE TABLE enabled (id bigint PRIMARY KEY, email text UNIQUE, "Key" int, flag int, UNIQUE ("Key", email), EXCLUDE USING btree (flag WITH =));
CREATE UNIQUE INDEX ON enabled (flag) WHERE flag > 0 OR flag < -1;
SELECT orm_ext.enable_soft_delete('enabled');
SELECT count(*) FROM orm_ext.lint('soft') WHERE rule = 'soft_delete_full_unique' AND object ~ 'enabled';

--
-- soft_delete_fk_cascade: CASCADE between a table under soft delete and one that is not, and
-- what foreign_keys=off leaves to real deletes
--
CREATE TABLE hard_parent (id bigint PRIMARY KEY);
CREATE TABLE child (
	id bigint PRIMARY KEY,
	a bigint CONSTRAINT child_cascade REFERENCES users ON DELETE CASCADE,
	b bigint CONSTRAINT child_set_null REFERENCES users ON DELETE SET NULL,
	c bigint DEFAULT 1 CONSTRAINT child_set_default REFERENCES users ON DELETE SET DEFAULT,
	d bigint CONSTRAINT child_no_action REFERENCES users,
	e bigint CONSTRAINT child_restrict REFERENCES users ON DELETE RESTRICT,
	f bigint CONSTRAINT child_hard REFERENCES hard_parent ON DELETE CASCADE
);
ALTER TABLE users ADD parent bigint CONSTRAINT users_cascade REFERENCES hard_parent ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	ADD parent_2 bigint CONSTRAINT users_set_null REFERENCES hard_parent ON DELETE SET NULL,
	ADD boss bigint CONSTRAINT users_boss REFERENCES users ON DELETE CASCADE;
CREATE TABLE aloof (id bigint PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE child_of_aloof (
	id bigint PRIMARY KEY,
	deleted_at timestamptz,
	a bigint CONSTRAINT aloof_cascade REFERENCES aloof ON DELETE CASCADE,
	b bigint CONSTRAINT aloof_restrict REFERENCES aloof ON DELETE RESTRICT,
	c bigint CONSTRAINT aloof_set_null REFERENCES aloof ON DELETE SET NULL
);
ALTER TABLE aloof ADD parent bigint CONSTRAINT aloof_no_action REFERENCES users, ADD parent_2 bigint CONSTRAINT aloof_set_default REFERENCES users ON DELETE SET DEFAULT,
	ADD parent_3 bigint CONSTRAINT aloof_hard REFERENCES hard_parent ON DELETE CASCADE;
CREATE TRIGGER soft_delete BEFORE DELETE ON aloof FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
CREATE TRIGGER soft_delete BEFORE DELETE ON child_of_aloof FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT severity, object, message, fix FROM orm_ext.lint('soft') WHERE rule = 'soft_delete_fk_cascade';
-- rows of "child" are left, and go along when fixed
BEGIN;
INSERT INTO users (id, badge, version) VALUES (7, 7, 1);
INSERT INTO child (id, a, c) VALUES (1, 7, NULL);
DELETE FROM users WHERE id = 7;
SELECT count(*) FROM child;
ROLLBACK;
BEGIN;
SELECT fix FROM orm_ext.lint('soft') WHERE key = 'soft_delete_fk_cascade:soft.child.child_cascade' \gexec
INSERT INTO users (id, badge, version) VALUES (7, 7, 1);
INSERT INTO child (id, a, c) VALUES (1, 7, NULL);
DELETE FROM users WHERE id = 7;
SELECT count(*) FROM child;
ROLLBACK;
DROP TABLE child_of_aloof, aloof;
-- the one really removes rows, and does not when fixed
INSERT INTO hard_parent VALUES (1);
INSERT INTO users (id, badge, version, parent) VALUES (1, 1, 1, 1);
BEGIN;
DELETE FROM hard_parent;
SELECT count(*) FROM users WHERE orm_ext.with_deleted(deleted_at);
ROLLBACK;
BEGIN;
SELECT fix FROM orm_ext.lint('soft') WHERE key = 'soft_delete_fk_cascade:soft.users.users_cascade' \gexec
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'users_cascade';
DELETE FROM hard_parent;
COMMIT;
DELETE FROM users WHERE id = 1;

--
-- soft_delete_index: by the number of rows that the statistics tell
--
CREATE TABLE large (id bigint, part int, deleted_at timestamptz, PRIMARY KEY (id, part));
CREATE TABLE large_indexed (id bigint PRIMARY KEY, n int, deleted_at timestamptz);
CREATE INDEX ON large_indexed (n) WHERE n > 0 AND deleted_at IS NULL;
CREATE TABLE small (id bigint PRIMARY KEY, deleted_at timestamptz);
SELECT count(*) FROM unnest('{large,large_indexed,small}'::regclass[]) AS t, orm_ext.enable_soft_delete(t);
INSERT INTO large SELECT g, g FROM generate_series(1, 10000) AS g;
INSERT INTO large_indexed SELECT g, g FROM generate_series(1, 10000) AS g;
INSERT INTO small SELECT g FROM generate_series(1, 9999) AS g;
ANALYZE large, large_indexed, small;
SELECT object, message, fix FROM orm_ext.lint('soft') WHERE rule = 'soft_delete_index';

--
-- policy_disabled, version_column
--
CREATE TABLE versioned (id bigint PRIMARY KEY, version_id int, updated_at timestamptz, deleted_at timestamptz);
CREATE TABLE versioned_short (id bigint PRIMARY KEY, version smallint NOT NULL);
CREATE TABLE versioned_wrapping (id bigint PRIMARY KEY, version smallint NOT NULL);
CREATE TABLE versioned_uuid (id bigint PRIMARY KEY, version uuid);
CREATE TABLE versioned_well (id bigint PRIMARY KEY, version bigint NOT NULL, updated_at timestamptz);
CREATE TABLE versioned_parted (id bigint PRIMARY KEY, version int) PARTITION BY RANGE (id);
CREATE TABLE versioned_parted_1 PARTITION OF versioned_parted FOR VALUES FROM (0) TO (100);
INSERT INTO versioned VALUES (1, NULL, NULL, NULL), (2, NULL, NULL, now());
INSERT INTO versioned_uuid VALUES (1);
SELECT t, policy FROM unnest('{versioned,versioned_short,versioned_uuid,versioned_well,versioned_parted}'::regclass[]) AS t, orm_ext.manage(t);
SELECT policy FROM orm_ext.manage('versioned_wrapping', 'overflow=wrap');
ALTER TABLE versioned_well DISABLE TRIGGER zz_orm_stamp;
ALTER TABLE parted_1 DISABLE TRIGGER soft_delete;
SELECT severity, rule, object, message, fix FROM orm_ext.lint('soft') WHERE category = 'policies';
-- a trigger for replicas is meant so; that of a partition is as good as its parent's
ALTER TABLE versioned_well ENABLE REPLICA TRIGGER zz_orm_stamp;
ALTER TABLE parted DISABLE TRIGGER soft_delete;
SELECT object FROM orm_ext.lint('soft') WHERE rule = 'policy_disabled';
ALTER TABLE parted ENABLE TRIGGER soft_delete;
ALTER TABLE versioned_well DISABLE TRIGGER zz_orm_stamp;

--
-- library_not_loaded: once for the database, whatever schema is asked for
--
SELECT count(*) FROM orm_ext.lint('soft') WHERE rule = 'library_not_loaded';
DO $$BEGIN EXECUTE format('ALTER DATABASE %I RESET session_preload_libraries', current_database()); END$$;
-- where the server itself loads it, there is nothing to say
SELECT f.rule = 'library_not_loaded' AND f.severity = 'error' AND f.object = quote_ident(current_database())
	AND f.classid = 'pg_database'::regclass AND f.message ~ 'do not load orm_ext' AND f.fix = 'SELECT orm_ext.preload();' AS is_said
FROM orm_ext.lint('soft') AS f WHERE f.rule = 'library_not_loaded'
UNION ALL SELECT true WHERE orm_ext.new_sessions_preload();
SELECT count(*) = (NOT orm_ext.new_sessions_preload())::int FROM orm_ext.lint('public') WHERE rule = 'library_not_loaded';
DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''orm_ext''', current_database()); END$$;
SELECT count(*) FROM orm_ext.lint('soft') WHERE rule = 'library_not_loaded';

--
-- Run the fixes.  What is left has none, or is exempt.
--
DELETE FROM users WHERE orm_ext.with_deleted(deleted_at) AND deleted_at IS NOT NULL;
SELECT fix FROM orm_ext.lint('soft') WHERE fix IS NOT NULL \gexec
SELECT rule, object FROM orm_ext.lint('soft');
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('users'::regclass, 'flagged'::regclass, 'numbered'::regclass, 'parted'::regclass)
	AND indisunique AND NOT indisprimary ORDER BY indrelid, indexrelid::regclass::text COLLATE "C";
SET orm_ext.deleted_rows = show;
SELECT id, version_id FROM versioned ORDER BY id;
RESET orm_ext.deleted_rows;

DELETE FROM orm_ext.lint_exemption;
DELETE FROM orm_ext.lint_setting;
DROP SCHEMA soft CASCADE;
