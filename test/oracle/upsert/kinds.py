"""Column types: their values as text, as JSON and as SQL.

A value is None or text that the type's input function takes, and that it prints in the same way
wherever rows are compared.
"""

from dataclasses import dataclass
import json

from stamps.types import name, quote

__all__ = ('COLLATION', 'KEYS', 'KINDS', 'Kind', 'SETUP', 'name', 'quote')

SCHEMA = 'upsert_kinds'     # of types; both sides have the same
COLLATION = f'{SCHEMA}.ci'

SETUP = (
    f'CREATE SCHEMA {SCHEMA}', f'SET search_path = {SCHEMA}',
    f"CREATE COLLATION {COLLATION} (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'Happy, very')",
    'CREATE DOMAIN d_pos AS int CHECK (VALUE > 0)',
    'CREATE DOMAIN d_word AS varchar(6)',
    'CREATE DOMAIN d_pair AS text CHECK (length(VALUE) < 7)',
    'CREATE TYPE pair AS (a int, "B b" text)',
    f'GRANT USAGE ON SCHEMA {SCHEMA} TO oracle_app',
)


@dataclass(frozen=True)
class Kind:
    """A type as a column declares it."""

    sql: str
    samples: tuple
    json: str = 'string'        # string, bare (a number, true, false), array, object, raw
    collation: str = ''
    length: int = 0             # of strings; 0 is no limit
    wrong: tuple = ()           # input that is refused

    @property
    def declared(self):
        """The type in CREATE TABLE."""
        return f'{self.sql} COLLATE {self.collation}' if self.collation else self.sql

    def typed(self, value):
        """The value as an expression of the type; too long strings are not cut."""
        kind = {'char(3)': 'bpchar', 'varchar(8)': 'varchar'}.get(self.sql, self.sql)
        text = f'CAST({literal(value)} AS {kind})'
        return f'{text} COLLATE {self.collation}' if self.collation else text

    def as_json(self, value, rng):
        """The value in a JSON text."""
        if value is None:
            return 'null'
        if self.json == 'bare' and value not in ('NaN', 'Infinity') and value.lstrip('-')[:1] in '0123456789tf':
            word = {'t': 'true', 'f': 'false'}.get(value, value)
            return word if is_json(word) and rng.random() < 0.8 else json.dumps(value)
        if self.json == 'raw' and is_json(value):
            return value
        if self.json in JSON_FORMS and value in JSON_FORMS[self.json] and rng.random() < 0.7:
            return JSON_FORMS[self.json][value]
        return json.dumps(value, ensure_ascii=rng.random() < 0.5)


JSON_FORMS = {
    'array': {'{}': '[]', '{1,2}': '[1, 2]', '{2,1}': '[2, 1]', '{NULL,3}': '[null, 3]', '{{1},{2}}': '[[1], [2]]',
              '{a,b}': '["a", "b"]', '{"a,b",""}': '["a,b", ""]', '{"x\\"y"}': '["x\\"y"]'},
    'object': {'(1,a)': '{"a": 1, "B b": "a"}', '(,)': '{}', '(2,"x y")': '{"B b": "x y", "a": 2}'},
}


def is_json(text):
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def literal(value):
    """The value as SQL without a type."""
    if value is None:
        return 'NULL'
    return f' E{quote(value)}'.replace('\\', '\\\\') if '\\' in value else quote(value)


UUIDS = tuple(f'{digit * 8}-0000-4000-8000-{digit * 12}' for digit in '123456789abc')
NUMBERS = tuple(str(number) for number in range(1, 15))
WORDS = ('ann', 'Ann', 'bob', 'BOB', '', "o'hara", 'ä', 'x y', 'Zoe', 'zo"e', 'a\tb', 'c,d', '\\N', 'null')
NO_NUMBER = ('abc', '', '1;')

INT = Kind('int', NUMBERS, 'bare', wrong=(*NO_NUMBER, '99999999999', '1.5'))
BIGINT = Kind('bigint', NUMBERS, 'bare', wrong=(*NO_NUMBER, '99999999999999999999'))
TEXT = Kind('text', WORDS)
BOOLEAN = Kind('boolean', ('t', 'f'), 'bare', wrong=('maybe', ''))
TIMESTAMPTZ = Kind('timestamptz', tuple(f'2024-0{month}-01 10:00:00+00' for month in range(1, 10)),
                   wrong=('2024-13-01', 'soon'))
TIMESTAMP = Kind('timestamp', tuple(f'2024-0{month}-01 10:00:00' for month in range(1, 10)), wrong=('2024-02-30',))
UUID = Kind('uuid', UUIDS, wrong=('x', '1111'))
MOOD = Kind('mood', ('sad', 'ok', 'Happy, very'), wrong=('happy', ''))
POSITIVE = Kind('d_pos', NUMBERS, 'bare', wrong=('-1', 'abc'))

# Of keys.  Values that are equal and yet look different are meant to be here.
KEYS = (
    INT, INT, BIGINT, TEXT, TEXT, UUID, TIMESTAMPTZ, MOOD, POSITIVE,
    Kind('smallint', NUMBERS, 'bare', wrong=('40000',)),
    Kind('numeric', ('1', '1.0', '1.00', '2', '2.5', '2.50', '-3', '1e3', '1000', 'NaN'), 'bare', wrong=NO_NUMBER),
    Kind('text', WORDS, collation=COLLATION),
    Kind('text', WORDS, collation='"C"'),
    Kind('varchar(8)', WORDS, length=8, wrong=('123456789',)),
    Kind('date', tuple(f'2024-01-0{day}' for day in range(1, 9)), wrong=('2024-01-32',)),
    Kind('int[]', ('{}', '{1,2}', '{2,1}', '{NULL,3}'), 'array', wrong=('{1', '{a}')),
    Kind('d_pair', ('ann', 'Ann', 'bob', 'x'), wrong=('much too long',)),
    Kind('bytea', ('\\x', '\\x00ff', '\\x01', '\\x5c'), wrong=('\\xzz',)),
    Kind('inet', ('10.0.0.1', '10.0.0.2', '::1'), wrong=('10.0.0',)),
)

KINDS = (
    *KEYS, TIMESTAMP, BOOLEAN, TEXT, TEXT, INT, INT,
    Kind('numeric(10,2)', ('0.00', '1.50', '99999999.99', '-7.25'), 'bare', wrong=('1e12', *NO_NUMBER)),
    Kind('double precision', ('0', '1.5', '-0.1', '1e+300', 'NaN', 'Infinity'), 'bare', wrong=('1e999',)),
    Kind('char(3)', ('abc', 'xyz', 'x z'), length=3, wrong=('abcdef',)),
    Kind('d_word', ('', 'ann', 'sixsix'), length=6, wrong=('seven77',)),
    Kind('json', ('{"a": 1}', '[1, 2]', '"text"', '{"b": null}', '1.50', 'true'), 'raw', wrong=('{', '')),
    Kind('jsonb', ('{"a": 1}', '[1, 2]', '"text"', '{"b": null}', '1.50', '1.5', 'true'), 'raw', wrong=('{"a"', '')),
    Kind('text[]', ('{}', '{a,b}', '{"a,b",""}', '{"x\\"y"}'), 'array', wrong=('{"a',)),
    Kind('int[]', ('{}', '{1,2}', '{{1},{2}}'), 'array', wrong=('{1',)),
    Kind('pair', ('(1,a)', '(,)', '(2,"x y")'), 'object', wrong=('(1', '(a,b)')),
    Kind('point', ('(1,2)', '(0,0.5)'), wrong=('(1',)),
    Kind('interval', ('1 day', '24:00:00', '1 mon'), wrong=('1 fortnit',)),
    Kind('int4range', ('[1,5)', 'empty', '[7,)'), wrong=('[5,1)',)),
)
