--
-- The user's own triggers and constraints meet a soft DELETE as the UPDATE that
-- it is underneath.
--
CREATE SCHEMA soft;
SET search_path = soft;
CREATE TABLE post (id int PRIMARY KEY, title text, updated int DEFAULT 0, deleted_at timestamptz);
INSERT INTO post SELECT i, 'post ' || i FROM generate_series(1, 9) AS i;

CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % % %', tg_name, tg_when, tg_level, tg_op;
	RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
END
$$;
CREATE FUNCTION tell_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% %: %', tg_name, tg_op,
		(SELECT string_agg(id || CASE WHEN deleted_at IS NULL THEN ' live' ELSE ' deleted' END, ', ' ORDER BY id) FROM changed);
	RETURN NULL;
END
$$;
CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF old.title = 'post 7' THEN
		RETURN NULL;
	END IF;
	RETURN new;
END
$$;
CREATE TRIGGER a_delete BEFORE DELETE ON post FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER b_delete AFTER DELETE ON post EXECUTE FUNCTION tell();
CREATE TRIGGER c_update BEFORE UPDATE ON post FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER d_update_of_title BEFORE UPDATE OF title ON post FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER e_update_of_marker AFTER UPDATE OF deleted_at ON post FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER f_update AFTER UPDATE ON post EXECUTE FUNCTION tell();
CREATE TRIGGER g_rows AFTER UPDATE ON post REFERENCING NEW TABLE AS changed EXECUTE FUNCTION tell_rows();
CREATE TRIGGER h_veto BEFORE UPDATE ON post FOR EACH ROW EXECUTE FUNCTION veto();
CREATE TRIGGER soft_delete BEFORE DELETE ON post
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');

\set QUIET off
DELETE FROM post WHERE id < 3;
-- a trigger that returns null has the last word, as ever
DELETE FROM post WHERE id = 7 RETURNING *;
-- a final DELETE is one to triggers too
DELETE FROM post WHERE id = 1 AND deleted_at IS NOT NULL;
BEGIN;
SET LOCAL orm_ext.delete_mode = hard;
DELETE FROM post WHERE id = 3;
ROLLBACK;
\set QUIET on

SET client_min_messages = warning;
DROP TRIGGER a_delete ON post;
DROP TRIGGER b_delete ON post;
DROP TRIGGER c_update ON post;
DROP TRIGGER d_update_of_title ON post;
DROP TRIGGER e_update_of_marker ON post;
DROP TRIGGER f_update ON post;
DROP TRIGGER g_rows ON post;
RESET client_min_messages;

-- A row that violates a constraint, as NOT VALID lets it be, cannot be marked:
-- the server checks whatever it stores.
ALTER TABLE post ADD CHECK (id <> 4) NOT VALID;
\set VERBOSITY terse
DELETE FROM post WHERE id = 4;
\set VERBOSITY default
ALTER TABLE post DROP CONSTRAINT post_id_check;
DELETE FROM post WHERE id = 4 RETURNING id;

-- triggers see and delete live rows, at any depth
CREATE TABLE comment (id int PRIMARY KEY, post_id int, deleted_at timestamptz);
INSERT INTO comment SELECT i, i / 2 FROM generate_series(2, 19) AS i;
CREATE TRIGGER soft_delete BEFORE DELETE ON comment
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE FUNCTION take_along() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	n int;
BEGIN
	DELETE FROM comment WHERE post_id = new.id;
	GET DIAGNOSTICS n = ROW_COUNT;
	RAISE NOTICE '% comments of post % go too, % are left', n, new.id, (SELECT count(*) FROM comment);
	RETURN NULL;
END
$$;
CREATE TRIGGER take_along AFTER UPDATE OF deleted_at ON post
	FOR EACH ROW WHEN (old.deleted_at IS NULL AND new.deleted_at IS NOT NULL)
	EXECUTE FUNCTION take_along();
DELETE FROM comment WHERE id = 10;
DELETE FROM post WHERE id IN (5, 6);
SELECT id FROM comment WHERE id BETWEEN 9 AND 15 ORDER BY id;
-- a deferred one as well
CREATE CONSTRAINT TRIGGER take_along_late AFTER UPDATE ON post
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_along();
BEGIN;
DELETE FROM post WHERE id = 8;
DELETE FROM comment WHERE id = 19;
COMMIT;
SELECT count(*) FROM comment;

DROP TABLE post, comment;
RESET search_path;

-- RETURNING shows the row as it was, not as a BEFORE UPDATE trigger left it
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE note (id int PRIMARY KEY, word text, updated int DEFAULT 0, deleted_at timestamptz,
		long text GENERATED ALWAYS AS (word || updated) STORED);
	INSERT INTO note SELECT i, 'note ' || i FROM generate_series(1, 6) AS i;
	CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN new.updated := old.updated + 1; new.word := upper(new.word); RETURN new; END';
	CREATE TRIGGER touch BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION touch();
$$);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft.note
	FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
\pset format unaligned
\pset tuples_only on
SELECT compare.effect('DELETE FROM note WHERE id < 4 RETURNING *');
SELECT compare.effect('DELETE FROM note WHERE id < 4 RETURNING note, word, long');
SELECT compare.effect('WITH d AS (DELETE FROM note WHERE id < 4 RETURNING *) UPDATE note SET word = note.word || d.word FROM d WHERE d.id = note.id - 3 RETURNING *');
SELECT compare.effect('WITH d AS (DELETE FROM note WHERE id < 4 RETURNING *) INSERT INTO note (id, word, updated) SELECT id + 10, word, updated FROM d RETURNING *');
SELECT compare.effect('UPDATE note SET word = word || ''!'' RETURNING *');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
