-- Values of settings, and statements under them.
-- Fields: the setting, the value.
CREATE TABLE t (id integer PRIMARY KEY, a text, version integer DEFAULT 1, deleted_at timestamptz,
	updated_at timestamptz, updated_by text);
CREATE TRIGGER soft_delete BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'updated_by=updated_by');
INSERT INTO t (id, a) VALUES (1, 'a'), (2, 'b');

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 2);
	setting text := 'orm_ext.' || fuzz.pick(f[1], 'actor', 'auto_manage', 'copy_conflict_columns', 'expected_version', 'stale_sqlstate',
		'copy_on_conflict', 'delete_mode', 'deleted_rows', 'naming_check', 'naming_fill', 'naming_follow', 'version_guard', 'bypass_stamps');
BEGIN
	PERFORM set_config(setting, f[2], true);
	IF setting = 'orm_ext.copy_conflict_columns' THEN
		SET LOCAL orm_ext.copy_on_conflict = 'update';
	END IF;
	PERFORM fuzz.write_file('3,c');
	CASE fuzz.pick(f[1], 'actor', 'auto_manage', 'copy_conflict_columns', 'expected_version', 'stale_sqlstate')
		WHEN 'auto_manage' THEN
			CREATE TABLE made (id integer, version integer, deleted_at timestamptz, UNIQUE (version));
			ALTER TABLE made ADD UNIQUE (id);
		WHEN 'copy_conflict_columns' THEN
			COPY t (id, a) FROM 'fuzz.input' (FORMAT csv);
		ELSE
			UPDATE t SET a = 'x' WHERE id = 1 AND version = 1;
			DELETE FROM t WHERE id = 1;
			UPDATE t SET a = 'x', version = 1 WHERE id = 2;
	END CASE;
END
$$;
