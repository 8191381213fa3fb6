--
-- Bulk upsert: keys under a collation that does not tell upper from lower case,
-- where the server has ICU.
--
SELECT count(*) = 0 AS no_icu FROM pg_collation WHERE collname = 'und-x-icu' \gset
\if :no_icu
\quit
\endif
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_collation.data'
SET compare.file = :'file';
SET search_path = soft;
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TABLE tag (word text COLLATE ignoring_case PRIMARY KEY, other text COLLATE "C", n int);
	CREATE UNIQUE INDEX tag_other ON tag (other COLLATE ignoring_case);
	INSERT INTO tag VALUES ('Red', 'Rot', 1), ('blue', 'Blau', 2);
$$);
CALL compare.bulk('tag', '[{"word": "RED", "n": 10}, {"word": "green", "n": 11}, {"word": "Green", "n": 12}]', same => 't.word = r.word COLLATE soft.ignoring_case');
CALL compare.bulk('tag', '[{"word": "x", "other": "ROT", "n": 10}, {"word": "y", "other": "grau", "n": 11}, {"word": "y", "other": "GRAU", "n": 12}]', '{"conflict": ["tag_other"], "update_columns": ["n"]}', 't.other = r.other COLLATE soft.ignoring_case');
CALL compare.bulk('tag', '[{"other": "ROT", "n": 10, "word": "red"}]', '{"conflict": ["other"], "update_columns": ["n"]}', 't.other = r.other COLLATE soft.ignoring_case');

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
