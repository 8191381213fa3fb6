-- Arguments of the trigger functions: declared, used, shown, and following a column that is renamed.
-- Fields: the function, the events, the arguments (by |).
CREATE TABLE parent (id integer PRIMARY KEY, updated_at timestamptz, version integer NOT NULL DEFAULT 1, touched bigint,
	day date, local timestamp);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
CREATE DOMAIN moment AS timestamptz;
CREATE TABLE t (id integer PRIMARY KEY, parent_id integer REFERENCES parent, a text, b integer DEFAULT 1, generated integer GENERATED ALWAYS AS (b + 1) STORED,
	deleted_at timestamptz, deleted boolean NOT NULL DEFAULT false, deleted_micros bigint NOT NULL DEFAULT 0, deleted_local timestamp,
	v2 smallint, v4 integer NOT NULL DEFAULT 1, v8 bigint, vu uuid, vt timestamptz,
	created_at timestamptz, updated_at timestamptz, created_local timestamp, updated_local timestamp, created_on date, updated_on date,
	created_seconds bigint, updated_seconds bigint, of_domain moment,
	created_by text, updated_by varchar(20), by_number integer, by_uuid uuid, by_role regrole, change_id bigint);
INSERT INTO parent (id) VALUES (1), (2);
INSERT INTO t (id, parent_id) VALUES (1, 1), (2, NULL);

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 3);
	n bigint;
BEGIN
	EXECUTE format('CREATE TRIGGER x %s ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.%I(%s)',
		fuzz.pick(f[2], 'BEFORE INSERT OR UPDATE', 'BEFORE DELETE', 'AFTER INSERT OR UPDATE OR DELETE', 'BEFORE INSERT OR UPDATE OR DELETE',
			'BEFORE UPDATE'),
		fuzz.pick(f[1], 'stamp', 'version', 'timestamps', 'soft_delete', 'touch_parent'),
		(SELECT string_agg(quote_literal(a), ', ') FROM unnest(string_to_array(f[3], '|')) AS a));
	SELECT count(*) INTO n FROM orm_ext.managed WHERE "table" = 't'::regclass AND trigger = 'x';
	ASSERT n > 0, 'a declaration that is accepted is not shown';
	INSERT INTO t (id, parent_id) VALUES (3, 2);
	UPDATE t SET a = 'a', parent_id = 1 WHERE id = 1;
	UPDATE t SET a = 'a' WHERE id = 3;
	DELETE FROM t WHERE id = 1;
	SELECT count(*) INTO n FROM t;
	ASSERT n = 2, 'a deleted row is seen';
	ALTER TABLE t RENAME COLUMN v4 TO "v=4,|";
	ALTER TABLE t RENAME COLUMN deleted_at TO "deleted 'at'";
	ALTER TABLE t RENAME COLUMN updated_at TO "updated,at";
	UPDATE t SET a = 'b' WHERE id = 3;
	SELECT count(*) INTO n FROM orm_ext.managed WHERE "table" = 't'::regclass AND trigger = 'x';
	ASSERT n > 0, 'a declaration is gone after a column was renamed';
END
$$;
