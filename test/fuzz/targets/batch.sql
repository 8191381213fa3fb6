-- Batched jobs, whose assignments and conditions are text: what they do is what one UPDATE or DELETE
-- with that text does.
-- Fields: what, by, batch_size, assignments, the condition.
CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, deleted_at timestamptz);
CREATE TABLE twin (LIKE t INCLUDING ALL);

CREATE PROCEDURE reset()
LANGUAGE plpgsql
AS $$
BEGIN
	DELETE FROM t;
	DELETE FROM twin;
	INSERT INTO t (id, a, b) VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, NULL), (4, -1, ''), (5, 5, 'e'), (7, 7, 'a');
	INSERT INTO twin SELECT * FROM t;
END
$$;

-- The same in one statement.  It is written as the job's text is read: by itself, whatever is in it.
CREATE PROCEDURE one_statement(what text, assignments text, condition text)
LANGUAGE plpgsql
AS $$
BEGIN
	IF what = 'update' THEN
		EXECUTE format(E'UPDATE twin AS t SET %s\nWHERE %s\n', assignments, CASE WHEN condition = '' THEN 'true' ELSE condition END);
	ELSE
		EXECUTE format(E'DELETE FROM twin AS t WHERE %s\n', CASE WHEN condition = '' THEN 'true' ELSE condition END);
	END IF;
EXCEPTION WHEN OTHERS THEN
	ASSERT false, 'one statement fails: ' || sqlerrm;
END
$$;

CREATE PROCEDURE run(input text)
LANGUAGE plpgsql
AS $$
DECLARE
	f text[] := fuzz.fields(input, 5);
	what text := fuzz.pick(f[1], 'update', 'delete');
	job bigint;
	n bigint;
BEGIN
	CALL reset();
	COMMIT;
	IF what = 'update' THEN
		CALL orm_ext.batch_update('t', f[4], nullif(f[5], ''), batch_size => fuzz.pick(f[3], '3', '1', '2', '100')::integer,
			by => fuzz.pick(f[2], 'key', 'auto', 'ctid'), max_retries => 0, job => job);
	ELSE
		CALL orm_ext.batch_delete('t', nullif(f[5], ''), batch_size => fuzz.pick(f[3], '3', '1', '2', '100')::integer,
			by => fuzz.pick(f[2], 'key', 'auto', 'ctid'), max_retries => 0, job => job);
	END IF;
	CALL one_statement(what, f[4], f[5]);
	SELECT count(*) INTO n FROM ((TABLE t EXCEPT ALL TABLE twin) UNION ALL (TABLE twin EXCEPT ALL TABLE t)) AS difference;
	ASSERT n = 0, n || ' rows are not as after one statement';
END
$$;
