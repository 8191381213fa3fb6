--
-- Bulk upsert: columns of every type, through every door.
--
CREATE SCHEMA soft;
CREATE SCHEMA twin;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/bulk_types.data'
SET compare.file = :'file';
SET search_path = soft;
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on
CALL compare.in_both($$
	CREATE TYPE mood AS ENUM ('sad', 'fine', 'it''s "great"');
	CREATE TYPE pair AS (a int, b text);
	CREATE TYPE nested AS (p pair, l pair[], m mood);
	CREATE TYPE float_range AS RANGE (subtype = float8);
	CREATE DOMAIN positive AS numeric(6,2) CHECK (value > 0);
	CREATE DOMAIN word AS text CHECK (value ~ '^\w+$') NOT NULL;
	CREATE DOMAIN words AS text[];
	CREATE DOMAIN good_pair AS pair CHECK ((value).a > 0);
$$);

-- A table of one column and two rows for each type: the rows through every door
-- into a table that has others, then once more, then changed.
CREATE FUNCTION soft.of_type(type text, one jsonb, other jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = soft AS $$
DECLARE
	input jsonb := jsonb_build_array(jsonb_build_object('id', 1, 'v', one), jsonb_build_object('id', 2, 'v', other),
									 jsonb_build_object('id', 3, 'v', null), jsonb_build_object('id', 4, 'v', other));
	result text;
	stored text;
BEGIN
	CALL compare.in_both(format('CREATE TABLE typed (id int PRIMARY KEY, v %s)', type));
	CALL compare.in_both(format('INSERT INTO typed SELECT id, v FROM jsonb_to_recordset(%L) AS r (id int, v %s)',
								jsonb_build_array(jsonb_build_object('id', 1, 'v', one), jsonb_build_object('id', 2, 'v', one), jsonb_build_object('id', 3, 'v', one)), type));
	EXECUTE 'SELECT v::text FROM soft.typed WHERE id = 1' INTO stored;
	result := compare.bulk_nested('typed', input);
	CALL compare.in_both('DROP TABLE typed');
	RETURN format('%s [%s]', result, replace(stored, E'\r', '\r'));
END
$$;
-- all are to say: 1 inserted, 2 updated, 1 unchanged, through seven doors
SELECT type, of_type(type, one, other) FROM (VALUES
	('boolean', 'true'::jsonb, 'false'::jsonb),
	('boolean', '"yes"', '"0"'),
	('smallint', '-32768', '"32767"'),
	('integer', '2147483647', '" -1 "'),
	('bigint', '9223372036854775807', '9007199254740993'),
	('bigint', '"-9223372036854775808"', '1e3'),
	('numeric', '12345678901234567890.12345678901234567890', '"NaN"'),
	('numeric', '1e-50', '"-Infinity"'),
	('numeric(5,2)', '1.005', '999.99'),
	('numeric(3,-2)', '12345', '"49"'),
	('real', '1.1', '"NaN"'),
	('double precision', '0.1', '1e308'),
	('double precision', '"-0"', '0'),
	('money', '"12.34"', '5'),
	('text', '"with \"quotes\", \\backslash\\ and \t tab \n newline \r return, é, 漢字, 🎉"', '""'),
	('text', '"\\N"', '"\\."'),
	('text', '"null"', '"{}"'),
	('text', '1.50', 'true'),
	('text', '{"a": [1, 2]}', '[1, "x"]'),
	('varchar(5)', '"abcde"', '"abc       "'),
	('char(5)', '"ab"', '"ab c"'),
	('"char"', '"x"', '""'),
	('name', '"Name"', '"n"'),
	('bytea', '"\\x00ff7f"', '"\\x"'),
	('bytea', '"\\x5c2e0a0d09"', '"plain"'),
	('date', '"2001-02-03"', '"infinity"'),
	('date', '"0044-03-15 BC"', '"20010203"'),
	('time', '"24:00:00"', '"04:05:06.789"'),
	('timetz', '"04:05:06+07"', '"04:05:06-03:30"'),
	('timestamp', '"2001-02-03T04:05:06.123456"', '"-infinity"'),
	('timestamp(0)', '"2001-02-03 04:05:06.5"', '"2001-02-03 04:05:06.4"'),
	('timestamptz', '"2001-02-03T04:05:06.123456Z"', '"2001-02-03 04:05:06+05:30"'),
	('timestamptz(3)', '"2001-02-03T04:05:06.123456Z"', '"infinity"'),
	('interval', '"1 year 2 mons -3 days 04:05:06.789"', '"P1DT2H"'),
	('interval day to second(1)', '"1 day 2.55 seconds"', '"1 day"'),
	('uuid', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"', '"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12}"'),
	('json', '{"b": 1, "a": [null, {"x": "\"y\""}]}', '"text"'),
	('jsonb', '{"b": 1, "a": [null, {"x": "\"y\"\\"}]}', '"text"'),
	('jsonb', '[1, 2.50, 1e3]', '{"a": null}'),
	('jsonb', '[]', 'false'),
	('jsonpath', '"$.a[*] ? (@ > 1)"', '"$"'),
	('inet', '"192.168.1.5/24"', '"::1"'),
	('cidr', '"10.0.0.0/8"', '"2001:db8::/32"'),
	('macaddr', '"08:00:2b:01:02:03"', '"08002b-010204"'),
	('macaddr8', '"08:00:2b:01:02:03:04:05"', '"08002b0102030406"'),
	('bit(4)', '"1010"', '"0000"'),
	('bit varying(9)', '"10101"', '""'),
	('point', '"(1.5,2)"', '"3,4"'),
	('lseg', '"[(1,2),(3,4)]"', '"1,2,3,5"'),
	('line', '"{1,2,3}"', '"{1,2,4}"'),
	('box', '"(3,4),(1,2)"', '"(1,1),(0,0)"'),
	('path', '"((1,2),(3,4))"', '"[(1,2),(3,4)]"'),
	('polygon', '"((1,2),(3,4),(5,0))"', '"((1,1))"'),
	('circle', '"<(1,2),3>"', '"<(0,0),0>"'),
	('tsvector', '"''a'':1A ''fat'':2"', '"b c"'),
	('tsquery', '"fat"', '"''fat'' & ( ''rat'' | !''cat'' )"'),
	('int4range', '"[1,4]"', '"empty"'),
	('numrange', '"(,2.50]"', '"[1.0,1.0]"'),
	('tstzrange', '"[\"2001-02-03 04:05:06Z\",)"', '"(,)"'),
	('daterange', '"[2001-01-01,2001-12-31]"', '"[2001-01-01,2002-01-01]"'),
	('float_range', '"[0.1,0.2)"', '"[0.1,0.2]"'),
	('int4multirange', '"{[1,3),[5,7)}"', '"{}"'),
	('oid', '4294967295', '"0"'),
	('regclass', '"pg_class"', '"pg_type"'),
	('pg_lsn', '"16/B374D848"', '"0/0"'),
	('xid8', '"18446744073709551615"', '1'),
	('mood', '"it''s \"great\""', '"sad"'),
	('pair', '{"a": 1, "b": "x,\"(y)\\"}', '{"b": ""}'),
	('pair', '"(1,x)"', '{}'),
	('nested', '{"p": {"a": 1, "b": null}, "l": [{"a": 2}, null, {"b": "z"}], "m": "fine"}', '{"l": []}'),
	('positive', '12.345', '"0.01"'),
	('words', '["a", "b c", null, ""]', '[]'),
	('good_pair', '{"a": 1, "b": "x"}', '{"a": 2, "b": null}'),
	('int[]', '[1, null, 3]', '[]'),
	('int[]', '[[1, 2], [3, 4]]', '[[[5]]]'),
	('int[]', '"[2:4]={1,2,NULL}"', '"{1,2,NULL}"'),
	('text[]', '["a,b", "{\"c\"}", "\\", "", null, "null", "NULL", " "]', '[null]'),
	('text[]', '[["a", "b"], ["c", null]]', '["a", "b", "c", null]'),
	('numeric(4,1)[]', '[1.25, "2.5", null]', '[99]'),
	('varchar(3)[]', '["abc", "d  "]', '["abc    "]'),
	('boolean[]', '[true, "f"]', '[null, false]'),
	('bytea[]', '["\\x00", "\\x5c"]', '["a\\\\b"]'),
	('jsonb[]', '[{"a": 1}, [1, 2], "x", null]', '[[{"a": 1}]]'),
	('timestamptz[]', '["2001-02-03T04:05:06Z", null]', '["infinity"]'),
	('mood[]', '["sad", "it''s \"great\""]', '[]'),
	('pair[]', '[{"a": 1, "b": "x"}, null, {"a": null, "b": "{,}"}]', '[{}]'),
	('positive[]', '[1.005, null]', '[2]'),
	('int4range[]', '["[1,3)", "empty"]', '["[1,2]"]')
) AS t (type, one, other) ORDER BY type, one;
-- the most of them side by side, once more without savepoints
CALL compare.in_both($$
	CREATE TABLE wide (id int PRIMARY KEY, a boolean, b smallint, c bigint, d numeric(9,3), e real, f float8, g text, h varchar(9), i char(4), j bytea, k date, l time, m timestamp, n timestamptz, o interval,
		p uuid, q json, r jsonb, s inet, t bit(3), u point, v tsvector, w int4range, x mood, y nested, z positive, aa words, bb int[], cc text[], dd pair[], ee jsonb[], ff mood[], gg good_pair);
	INSERT INTO wide (id) VALUES (1), (2);
	INSERT INTO wide (id, a, g, n, q, r, bb) VALUES (3, true, 'g', '2001-02-03 04:05:06Z', '{"a": 1}', '{"a": 1}', '{1,2}');
$$);
CALL compare.bulk('wide', '[{"id": 1, "a": true, "b": 1, "c": 9007199254740993, "d": 1.0005, "e": 0.1, "f": 0.1, "g": "g\"\\", "h": "h", "i": "i", "j": "\\x00ff", "k": "2001-02-03", "l": "04:05:06", "m": "2001-02-03 04:05:06.7", "n": "2001-02-03T04:05:06Z", "o": "1 day", "p": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "q": {"b": [1]}, "r": {"b": [1]}, "s": "10.0.0.1/8", "t": "101", "u": "(1,2)", "v": "word", "w": "[1,4]", "x": "fine", "y": {"p": {"a": 1}, "l": [{"b": "x"}]}, "z": 1.005, "aa": ["a"], "bb": [1, null], "cc": [["a"]], "dd": [{"a": 1}], "ee": [[1]], "ff": ["sad"], "gg": {"a": 1}},
	{"id": 3, "a": true, "b": null, "c": null, "d": null, "e": null, "f": null, "g": "g", "h": null, "i": null, "j": null, "k": null, "l": null, "m": null, "n": "2001-02-03 05:05:06+01", "o": null, "p": null, "q": {"a": 1}, "r": {"a": 1}, "s": null, "t": null, "u": null, "v": null, "w": null, "x": null, "y": null, "z": null, "aa": null, "bb": [1, 2], "cc": null, "dd": null, "ee": null, "ff": null, "gg": null},
	{"id": 9, "a": false, "b": -1, "c": 1, "d": null, "e": "NaN", "f": "-0", "g": "", "h": "", "i": "", "j": "\\x", "k": "infinity", "l": null, "m": "-infinity", "n": "infinity", "o": "P1M", "p": null, "q": "text", "r": "text", "s": "::1", "t": "000", "u": null, "v": "", "w": "empty", "x": "sad", "y": {}, "z": null, "aa": [], "bb": [], "cc": [], "dd": [null], "ee": [], "ff": [], "gg": null}]');
CALL compare.bulk('wide', '[{"id": 2, "g": "x", "q": {"z": 1}, "bb": [[1, 2]]}, {"id": 3, "g": "g", "q": {"a": 1}, "bb": [1, 2]}, {"id": 8, "g": null, "q": null, "bb": null}]');
-- the one domain that takes no null
CALL compare.in_both('CREATE TABLE spoken (id int PRIMARY KEY, v word, w word DEFAULT ''x''); INSERT INTO spoken VALUES (1, ''one'')');
CALL compare.bulk('spoken', '[{"id": 1, "v": "two"}, {"id": 2, "v": "three"}]');
CALL compare.bulk('spoken', '[{"id": 1, "v": "two", "w": "y"}, {"id": 2, "v": "three", "w": "y"}]');
CALL compare.bulk('spoken', '[{"id": 1, "w": "z"}]');
CALL compare.bulk('spoken', '[{"id": 1, "v": null}]');
CALL compare.bulk('spoken', '[{"id": 2, "v": null}]');

--
-- Json's null is SQL's
--
CALL compare.in_both('CREATE TABLE doc (id int PRIMARY KEY, a jsonb, b json, c jsonb[] DEFAULT ''{1}''); INSERT INTO doc VALUES (1, ''1'', ''1'')');
CALL compare.bulk('doc', '[{"id": 1, "a": null, "b": null, "c": null}, {"id": 2, "a": null, "b": null, "c": [null]}]');
BEGIN;
SELECT * FROM orm_ext.bulk_upsert_returning(NULL::doc, '[{"id": 1, "a": null, "b": {"z":  1, "y": "\u00e9"}, "c": [null, [1]]}]');
ROLLBACK;

--
-- What does not fit: the type's own error, of which row and column
--
CALL compare.in_both($$
	CREATE TABLE narrow (id int PRIMARY KEY, i int, s smallint, n numeric(3,1), v varchar(3), d date, m mood, p positive, j jsonb, a int[], c pair, b bit(3), u uuid);
	INSERT INTO narrow (id) VALUES (1);
$$);
CALL compare.bulk('narrow', '[{"id": 1}, {"id": 2, "i": "x"}]');
CALL compare.bulk('narrow', '[{"id": 1, "i": 2147483648}]');
CALL compare.bulk('narrow', '[{"id": 1, "i": 1.5}]');
CALL compare.bulk('narrow', '[{"id": 1, "i": ""}]');
CALL compare.bulk('narrow', '[{"id": 1, "i": true}]');
CALL compare.bulk('narrow', '[{"id": 1, "i": {"a": 1}}]');
CALL compare.bulk('narrow', '[{"id": 1, "s": 40000}]');
CALL compare.bulk('narrow', '[{"id": 1, "n": 99.95}]');
CALL compare.bulk('narrow', '[{"id": 1, "v": "abcd"}]');
CALL compare.bulk('narrow', '[{"id": 1, "d": "2001-02-30"}]');
CALL compare.bulk('narrow', '[{"id": 1, "m": "angry"}]');
CALL compare.bulk('narrow', '[{"id": 1, "p": -1}]');
CALL compare.bulk('narrow', '[{"id": 1, "a": [1, "x"]}]');
CALL compare.bulk('narrow', '[{"id": 1, "a": [[1, 2], [3]]}]');
CALL compare.bulk('narrow', '[{"id": 1, "c": {"a": "x"}}]');
CALL compare.bulk('narrow', '[{"id": 1, "c": [1]}]');
CALL compare.bulk('narrow', '[{"id": 1, "b": "1"}]');
CALL compare.bulk('narrow', '[{"id": 1, "u": "123"}]');

--
-- Values that are stored out of line are compared as what they are
--
CALL compare.in_both($$
	CREATE TABLE large (id int PRIMARY KEY, body text, raw bytea, doc jsonb, list int[], n int);
	ALTER TABLE large ALTER body SET STORAGE external, ALTER raw SET STORAGE extended;
	INSERT INTO large SELECT i, repeat('body ', 2000 + i), decode(repeat('00ff', 4000), 'hex'), jsonb_build_object('text', repeat('x', 9000)), ARRAY(SELECT generate_series(1, 4000)), 0
	FROM generate_series(1, 3) AS i;
$$);
SELECT (SELECT jsonb_agg(l) FROM large AS l) AS rows \gset
CALL compare.bulk('large', :'rows');
SELECT (SELECT jsonb_agg(to_jsonb(l) || jsonb_build_object('n', id - 2, 'body', body || CASE id WHEN 2 THEN '!' ELSE '' END)) FROM large AS l) AS rows \gset
CALL compare.bulk('large', :'rows');
SELECT (SELECT jsonb_agg(to_jsonb(l) || jsonb_build_object('id', id + 2)) FROM large AS l) AS rows \gset
CALL compare.bulk('large', :'rows');
SELECT (SELECT jsonb_agg(jsonb_build_object('id', id, 'n', 1)) FROM large AS l) AS rows \gset
CALL compare.bulk('large', :'rows');
-- and kept where they stand
BEGIN;
SELECT relation.reltoastrelid::regclass AS toast FROM pg_class AS relation WHERE oid = 'large'::regclass \gset
SELECT array_agg(chunk_id ORDER BY chunk_id) AS chunks FROM (SELECT DISTINCT chunk_id FROM :toast) AS c \gset
SELECT * FROM orm_ext.bulk_upsert('large', '[{"id": 1, "n": 5}, {"id": 2, "n": 5}]');
SELECT array_agg(chunk_id ORDER BY chunk_id) = :'chunks' FROM (SELECT DISTINCT chunk_id FROM :toast) AS c;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA soft, twin CASCADE;
