--
-- MERGE as it is since PostgreSQL 17: NOT MATCHED BY SOURCE, RETURNING, and
-- views as its target.
--
SELECT current_setting('server_version_num')::int < 170000 AS too_old \gset
\if :too_old
\quit
\endif
CREATE SCHEMA soft;
CREATE SCHEMA twin;
CALL compare.in_both($$
	CREATE TABLE stock (
		id int UNIQUE, amount int, deleted_at timestamptz,
		state text GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN 'live' ELSE 'gone' END) STORED
	);
	CREATE TABLE delivery (id int, amount int);
	INSERT INTO stock SELECT i, i * 10 FROM generate_series(1, 9) AS i;
	INSERT INTO delivery SELECT i, i - 7 FROM generate_series(4, 13) AS i;
	CREATE VIEW much AS SELECT id AS key, amount FROM stock WHERE amount > 30;
	CREATE VIEW checked AS SELECT id, amount FROM stock WHERE amount > 30 WITH CHECK OPTION;
	CREATE VIEW careful AS SELECT * FROM stock WHERE deleted_at IS NULL WITH CHECK OPTION;
$$);
\pset format unaligned
\pset tuples_only on
SELECT orm_ext.enable_soft_delete('soft.stock');
CALL compare.in_both('DELETE FROM stock WHERE id IN (2, 5, 8)');

-- NOT MATCHED BY SOURCE
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN NOT MATCHED BY SOURCE AND s.id > 1 THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = -1');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = 0 WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN UPDATE SET amount = d.amount WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.amount)');
SELECT compare.effect('MERGE INTO stock AS s USING (SELECT 1 WHERE false) AS d (id) ON d.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE');
SELECT compare.effect('MERGE INTO delivery AS d USING stock AS s ON d.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE');

-- RETURNING
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE RETURNING *');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE RETURNING merge_action(), s.*, d.id');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED THEN DELETE RETURNING merge_action(), s, s.state, s.deleted_at IS NULL');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND d.amount < 0 THEN DELETE WHEN MATCHED THEN UPDATE SET amount = s.amount + d.amount WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (d.id, d.amount) WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), s.*');
SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND d.amount < 0 THEN DELETE WHEN MATCHED THEN UPDATE SET amount = s.amount + d.amount RETURNING merge_action() || s.id, (SELECT count(*) FROM stock), s');
SELECT compare.effect('WITH m AS (MERGE INTO stock AS s USING delivery AS d ON d.id = s.id WHEN MATCHED AND d.amount < 0 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (d.id, d.amount) RETURNING merge_action() AS what, s.*) SELECT what, count(*), min(id), max(state) FROM m GROUP BY what');

SELECT compare.effect('MERGE INTO stock AS s USING delivery AS d ON d.id = s.id AND s.deleted_at IS NULL WHEN MATCHED THEN DELETE RETURNING merge_action(), s.*');

-- through views
SELECT compare.effect('MERGE INTO much AS m USING delivery AS d ON d.id = m.key WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO much AS m USING delivery AS d ON d.id = m.key WHEN MATCHED THEN DELETE RETURNING merge_action(), m.*, d.*');
SELECT compare.effect('MERGE INTO much AS m USING delivery AS d ON d.id = m.key WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN UPDATE SET amount = m.amount + 1');
SELECT compare.effect('MERGE INTO checked AS m USING delivery AS d ON d.id = m.id WHEN MATCHED THEN DELETE RETURNING m.*');
SELECT compare.effect('MERGE INTO checked AS m USING delivery AS d ON d.id = m.id WHEN MATCHED AND m.id > 6 THEN UPDATE SET amount = 31 WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO checked AS m USING delivery AS d ON d.id = m.id WHEN MATCHED AND m.id > 6 THEN UPDATE SET amount = 3 WHEN MATCHED THEN DELETE');
SELECT compare.effect('MERGE INTO careful AS m USING delivery AS d ON d.id = m.id WHEN MATCHED THEN DELETE RETURNING m.*');
SELECT compare.effect('MERGE INTO careful AS m USING delivery AS d ON d.id = m.id WHEN MATCHED AND m.id > 6 THEN UPDATE SET amount = 3 WHEN MATCHED THEN DELETE');

-- actions that assign the marker are in charge of it
SET search_path = soft;
BEGIN;
MERGE INTO stock AS s USING (VALUES (1), (2), (12)) AS v (id) ON v.id = s.id
	WHEN MATCHED AND s.deleted_at IS NOT NULL THEN UPDATE SET deleted_at = NULL
	WHEN MATCHED THEN DELETE
	RETURNING s.id, s.deleted_at IS NULL;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM stock;
ROLLBACK;
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
