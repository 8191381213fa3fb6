--
-- What is wrong in a declaration of stamps is refused when its trigger is
-- created, with a hint that can be run as it stands.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CREATE DOMAIN year AS int;
CREATE TABLE item (
	id int PRIMARY KEY, a int, version int, "Lock, version" int, token uuid, at timestamptz, ats timestamptz[],
	created_at timestamptz, updated_at timestamptz, local_at timestamp, day date, ms bigint,
	who text, a_text text, a_real real, a_json json, a_numeric numeric, a_time time, a_year year,
	computed int GENERATED ALWAYS AS (a + 1) STORED,
	computed_at timestamp GENERATED ALWAYS AS (local_at) STORED,
	change_id bigint
);
-- A declaration by the arguments of its trigger: function and arguments, and when it fires.
CREATE FUNCTION declare_it(call text, fires text DEFAULT 'BEFORE INSERT OR UPDATE', level text DEFAULT 'FOR EACH ROW')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT compare.refusal(format('CREATE TRIGGER stamps %s ON item %s EXECUTE FUNCTION orm_ext.%s', fires, level, call))
$$;

-- arguments missing
SELECT declare_it('version()');
SELECT declare_it('timestamps()');
SELECT declare_it('timestamps(''created_at'')');
SELECT declare_it('timestamps('''', '''')');
SELECT declare_it('version('''')');
SELECT declare_it('stamp()');
SELECT declare_it('stamp(''ignore=a'')');
-- no such column; names are taken literally, and system columns are none
SELECT declare_it('version(''lock_version'')');
SELECT declare_it('version(''Version'')');
SELECT declare_it('version(''"Lock, version"'')');
SELECT declare_it('timestamps(''created_on'', ''updated_at'')');
SELECT declare_it('timestamps(''created_at'', ''updated_on'')');
SELECT declare_it('stamp(''created_by=author'')');
SELECT declare_it('stamp(''change_id=revision'')');
SELECT declare_it('version(''version'', ''ignore=a,b'')');
SELECT declare_it('version(''version'', ''ignore="A"'')');
-- wrong type
SELECT declare_it('version(''a_text'')');
SELECT declare_it('version(''a_numeric'')');
SELECT declare_it('version(''local_at'')');
SELECT declare_it('version(''ats'')');
SELECT declare_it('timestamps(''created_at'', ''a_text'')');
SELECT declare_it('timestamps(''version'', ''updated_at'')');
SELECT declare_it('timestamps(''a_time'', '''')');
SELECT declare_it('stamp(''created_by=a_json'')');
SELECT declare_it('stamp(''updated_by=at'')');
SELECT declare_it('stamp(''change_id=version'')');
-- generated
SELECT declare_it('version(''computed'')');
SELECT declare_it('timestamps(''computed_at'', '''')');
-- unknown options, and unknown values of known ones
SELECT declare_it('version(''version'', ''colour=red'')');
SELECT declare_it('version(''version'', ''Mode=auto'')');
SELECT declare_it('version(''version'', ''mode=optimistic'')');
SELECT declare_it('version(''version'', ''mode='')');
SELECT declare_it('version(''version'', ''mode'')');
SELECT declare_it('version(''version'', '''')');
SELECT declare_it('version(''version'', ''overflow=ignore'')');
SELECT declare_it('version(''version'', ''mode=auto'', ''mode=echo'')');
SELECT declare_it('version(''version'', ''at'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'', ''mode=echo'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'', ''clock=sun'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'', ''immutable=yes'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'', ''unit=hours'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'', ''zone=Europe/Berlin'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'', ''resent=no'')');
SELECT declare_it('stamp(''version'')');
SELECT declare_it('stamp(''deleted=at'')');
SELECT declare_it('stamp(''version='')');
SELECT declare_it('version(''version'', ''ignore="a'')');
SELECT declare_it('version(''version'', ''ignore=a,,id'')');
-- the same column for two things, or two columns for one
SELECT declare_it('timestamps(''at'', ''at'')');
SELECT declare_it('stamp(''version=version'', ''version=token'')');
SELECT declare_it('stamp(''version=version'', ''updated=updated_at'', ''version='')');
SELECT declare_it('stamp(''version=at'', ''updated=at'')');
-- another time, level or event, or a condition
SELECT declare_it('version(''version'')', 'AFTER INSERT OR UPDATE');
SELECT declare_it('version(''version'')', 'BEFORE INSERT OR UPDATE', '');
SELECT declare_it('version(''version'')', 'BEFORE DELETE');
SELECT declare_it('version(''version'')', 'BEFORE TRUNCATE', '');
SELECT declare_it('version(''Lock, version'', ''mode=echo'', ''ignore=a'')', 'AFTER UPDATE');
SELECT declare_it('timestamps(''created_at'', ''updated_at'')', 'AFTER INSERT');
SELECT declare_it('timestamps(''created_at'', ''updated_at'')', 'BEFORE INSERT OR DELETE');
SELECT declare_it('stamp(''version=version'')', 'AFTER INSERT OR UPDATE OR DELETE');
-- these are fine
SELECT declare_it('version(''version'', ''clock=wall'')');
SELECT declare_it('version(''Lock, version'')');
SELECT declare_it('version(''version'')', 'BEFORE INSERT OR UPDATE OR DELETE');
SELECT declare_it('version(''a_year'', ''ignore=a, version ,"Lock, version"'', ''overflow=wrap'', ''mode=strict'')');
SELECT declare_it('version(''version'', ''ignore='')');
SELECT declare_it('version(''version'', ''ignore=version'')');
SELECT declare_it('timestamps(''day'', ''ms'', ''unit=seconds'', ''zone=utc'', ''clock=wall'', ''immutable=error'', ''resent=move'', ''ignore=a'')');
SELECT declare_it('stamp(''version=version'', ''created=created_at'', ''updated=updated_at'', ''created_by=who'', ''updated_by=a_text'', ''change_id=change_id'', ''mode=echo'', ''ignore=a'')');

-- not tables
CREATE VIEW items AS SELECT * FROM item;
SELECT compare.refusal('CREATE TRIGGER stamps INSTEAD OF UPDATE ON items FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''version'')');
SELECT compare.refusal('CREATE TRIGGER stamps BEFORE UPDATE ON items EXECUTE FUNCTION orm_ext.version(''version'')');
-- called otherwise
SELECT orm_ext.version();
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.timestamps();
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.stamp();
\echo SQLSTATE :SQLSTATE
SELECT orm_ext.touch_parent();
\echo SQLSTATE :SQLSTATE

-- declared twice: a column, or a table's version
CREATE TRIGGER one BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
SELECT declare_it('version(''version'')');
SELECT declare_it('stamp(''version=version'')');
SELECT declare_it('version(''token'')');
SELECT declare_it('timestamps(''created_at'', ''updated_at'')');
-- but it can be replaced, which is checked just so
CREATE OR REPLACE TRIGGER one BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version', 'mode=echo');
SELECT compare.refusal('CREATE OR REPLACE TRIGGER one BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''a_text'')');
DROP TRIGGER one ON item;

-- names in hints are written as they must be
CREATE TABLE "My Items" ("Id" int PRIMARY KEY, "Version, no." text);
ALTER TABLE "My Items" ADD COLUMN "It's a ""version""" int;
SELECT compare.refusal('CREATE TRIGGER "My stamps" AFTER UPDATE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''It''''s a "version"'', ''ignore="Version, no."'')');
ALTER TABLE "My Items" DROP COLUMN "It's a ""version""";
SELECT compare.refusal('CREATE TRIGGER "My stamps" BEFORE UPDATE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''It''''s a "version"'')');
SELECT compare.refusal('CREATE TRIGGER "My stamps" BEFORE UPDATE ON "My Items" FOR EACH ROW EXECUTE FUNCTION orm_ext.version(''Version, no.'')');

--
-- touch_parent()
--
CREATE TABLE box (id int PRIMARY KEY, updated_at timestamptz, a_text text, computed_at timestamp GENERATED ALWAYS AS (NULL::timestamp) STORED);
CREATE TABLE toy (id int PRIMARY KEY, box_id int REFERENCES box, other_id int);
CREATE FUNCTION touch_it(call text, fires text DEFAULT 'AFTER INSERT OR UPDATE OR DELETE', level text DEFAULT 'FOR EACH ROW')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT compare.refusal(format('CREATE TRIGGER touch %s ON toy %s EXECUTE FUNCTION orm_ext.touch_parent(%s)', fires, level, call))
$$;
SELECT touch_it('');
SELECT touch_it('''box_id''');
SELECT touch_it('''crate_id'', ''updated_at''');
SELECT touch_it('''box_id'', ''touched_at''');
SELECT touch_it('''box_id'', ''a_text''');
SELECT touch_it('''box_id'', ''computed_at''');
SELECT touch_it('''other_id'', ''updated_at''');
SELECT touch_it('''box_id'', ''updated_at'', ''version=later''');
SELECT touch_it('''box_id'', ''updated_at'', ''colour=red''');
SELECT touch_it('''box_id'', ''updated_at''', 'BEFORE INSERT OR UPDATE');
SELECT touch_it('''box_id'', ''updated_at''', 'AFTER INSERT OR UPDATE', '');
SELECT touch_it('''box_id'', ''updated_at''', 'AFTER TRUNCATE', '');
SELECT touch_it('''box_id'', ''updated_at''');
SELECT touch_it('''box_id'', ''updated_at'', ''version=bump''', 'AFTER DELETE');

-- a column that refers to two tables
CREATE TABLE crate (id int PRIMARY KEY, updated_at timestamptz);
ALTER TABLE toy ADD CONSTRAINT toy_crate FOREIGN KEY (box_id) REFERENCES crate;
SELECT touch_it('''box_id'', ''updated_at''');
ALTER TABLE toy DROP CONSTRAINT toy_crate;
SELECT touch_it('''box_id'', ''updated_at''');
DROP TABLE crate;

-- none of all these left a trigger behind
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('item'::regclass, 'toy'::regclass) AND NOT tgisinternal;

--
-- What changes later is told when the trigger fires at the latest
--
CREATE TYPE note_type AS (id int, a int, version int, deleted_at timestamptz);
CREATE TABLE note OF note_type;
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO note VALUES (1, 1);
ALTER TYPE note_type ALTER ATTRIBUTE version TYPE text CASCADE;
SELECT compare.changes('UPDATE note SET a = 2');
ALTER TYPE note_type DROP ATTRIBUTE version CASCADE;
SELECT compare.changes('UPDATE note SET a = 2');
DROP TABLE note;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
