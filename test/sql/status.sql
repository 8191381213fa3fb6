--
-- Is it on here?  status(), managed, preload(), and the settings.
--
CREATE SCHEMA soft;
SET search_path = soft;
\pset format unaligned
\pset tuples_only on

-- library and objects are of the version that the control file says
SELECT extversion = orm_ext.loaded_version(), extversion = default_version
FROM pg_extension JOIN pg_available_extensions ON name = extname WHERE extname = 'orm_ext';
-- the server knows what loaded it
SELECT orm_ext.loaded_by() IN ('session_preload_libraries', 'shared_preload_libraries');
SELECT orm_ext.new_sessions_preload();
SELECT orm_ext.preload();

SELECT item, value IS NOT NULL AS known, action FROM orm_ext.status();
SELECT value FROM orm_ext.status() WHERE item LIKE 'tables%';
CREATE TABLE post (id int, deleted_at timestamptz);
CREATE TABLE "Tag" (id int, "gone ' by" boolean NOT NULL);
CREATE TABLE event (id int, deleted_at timestamp) PARTITION BY LIST (id);
CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);
CREATE TRIGGER soft_delete BEFORE DELETE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER "to the bin" BEFORE DELETE ON "Tag" FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('gone '' by');
CREATE TRIGGER soft_delete BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
SELECT * FROM orm_ext.managed ORDER BY "table"::text;
SELECT value FROM orm_ext.status() WHERE item LIKE 'tables%';
ALTER TABLE post DISABLE TRIGGER soft_delete;
SELECT "table", enabled FROM orm_ext.managed WHERE NOT enabled;
SELECT value FROM orm_ext.status() WHERE item LIKE 'tables%';

-- the settings, and who may set them
SELECT name, setting, vartype, enumvals, context FROM pg_settings WHERE name LIKE 'orm\_ext.%' ORDER BY name;
SELECT count(*) FROM pg_settings WHERE name LIKE 'orm\_ext.%' AND (short_desc = '' OR extra_desc = '');

-- everything that the extension has says what it is for
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'orm_ext')
	AND obj_description(objid, classid::regclass::name) IS NULL
	AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_event_trigger'::regclass)
ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA soft CASCADE;
