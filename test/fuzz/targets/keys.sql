-- Keys and conditions as text: of restore(), restore_where(), their previews and the checked writes.
-- Fields: function, table, version, changes, the key or condition.
CREATE TABLE one (id integer PRIMARY KEY, a text, version integer DEFAULT 1, deleted_at timestamptz);
CREATE TABLE two (a text, "B ""b" numeric, c integer REFERENCES one ON DELETE CASCADE, version integer DEFAULT 1, deleted_at timestamptz,
	PRIMARY KEY (a, "B ""b"));
CREATE TABLE named (id text PRIMARY KEY, deleted boolean NOT NULL DEFAULT false, version uuid);
CREATE TRIGGER soft_delete BEFORE DELETE ON one FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON two FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON named FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON one FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON two FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
CREATE TRIGGER version BEFORE INSERT OR UPDATE ON named FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
INSERT INTO one VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO two VALUES ('a', 1, 1), ('a', 2, 2), ('b', 2.5, 1), ('it''s', 0, NULL);
INSERT INTO named VALUES ('a'), ('"'), ('\'), ('null');
DELETE FROM one WHERE id < 3;
DELETE FROM two WHERE c IS NULL;
DELETE FROM named WHERE id <> 'a';

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 5);
	tab text := fuzz.pick(f[2], 'one', 'two', 'named');
	wanted bigint;
	restored bigint;
BEGIN
	CASE fuzz.pick(f[1], 'restore', 'restore_jsonb', 'preview', 'preview_jsonb', 'where', 'preview_where', 'update', 'update_jsonb', 'delete', 'delete_jsonb')
		WHEN 'restore' THEN
			PERFORM * FROM orm_ext.restore(tab::regclass, f[5]);
		WHEN 'restore_jsonb' THEN
			PERFORM * FROM orm_ext.restore(tab::regclass, f[5]::jsonb);
		WHEN 'preview' THEN
			PERFORM * FROM orm_ext.restore_preview(tab::regclass, f[5]);
		WHEN 'preview_jsonb' THEN
			PERFORM * FROM orm_ext.restore_preview(tab::regclass, f[5]::jsonb);
		WHEN 'preview_where' THEN
			PERFORM * FROM orm_ext.restore_preview_where(tab::regclass, f[5]);
		WHEN 'update' THEN
			PERFORM orm_ext.update_checked(tab::regclass, f[5], f[3], f[4]::jsonb);
		WHEN 'update_jsonb' THEN
			PERFORM orm_ext.update_checked(tab::regclass, f[5]::jsonb, f[3], f[4]::jsonb);
		WHEN 'delete' THEN
			PERFORM orm_ext.delete_checked(tab::regclass, f[5], f[3]);
		WHEN 'delete_jsonb' THEN
			PERFORM orm_ext.delete_checked(tab::regclass, f[5]::jsonb, f[3]);
		ELSE
			-- what is restored is what a query with that condition shows
			SET LOCAL orm_ext.deleted_rows = 'only';
			EXECUTE format(E'SELECT count(*) FROM %s WHERE %s\n', tab, f[5]) INTO wanted;
			SET LOCAL orm_ext.deleted_rows = 'hide';
			SELECT r.rows INTO restored FROM orm_ext.restore_where(tab::regclass, f[5]) AS r WHERE r.rel = tab::regclass;
			ASSERT coalesce(restored, 0) >= wanted, format('%s rows instead of %s', restored, wanted);
	END CASE;
END
$$;
