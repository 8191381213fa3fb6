"""Column types: how their values are written, printed, rounded and counted up.

Values are None, int (integers, epochs), text as the server prints it, or, for times, the number of
microseconds (dates: days) since 1970; times with time zone count from 1970 in UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
import uuid

EPOCH = datetime(1970, 1, 1)
DAY = 86_400_000_000
UNITS = {'microseconds': 1, 'milliseconds': 1000, 'seconds': 1_000_000}
# Microseconds that UTC is behind local time; zones without daylight saving.
ZONES = {'UTC': 0, 'Asia/Tokyo': 9 * 3_600_000_000, 'Etc/GMT+11': -11 * 3_600_000_000,
         'Asia/Kolkata': 19_800_000_000}


class Unsure(Exception):
    """The model cannot tell what the server will do: the generator has to think of something else."""


class SqlError(Exception):
    """The server is to raise one of these SQLSTATEs."""

    def __init__(self, *states):
        super().__init__(', '.join(sorted(states)))
        self.states = set(states)


def quote(text):
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def name(text):
    """An identifier, quoted where it has to be."""
    if text.replace('_', 'a').isalnum() and text == text.lower() and not text[0].isdigit() \
            and text != 'select':
        return text
    return '"' + text.replace('"', '""') + '"'


@dataclass(frozen=True)
class Type:
    """A type as a column declares it."""

    sql: str
    family: str         # int, tz, ts, date, uuid, text, other
    bits: int = 0       # of integers
    digits: int = 6     # of times
    length: int = 0     # of strings; 0 is no limit
    domain: bool = False

    @property
    def low(self):
        """The smallest integer."""
        return -(1 << (self.bits - 1))

    @property
    def high(self):
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1

    @property
    def step(self):
        """Microseconds between two neighbouring times."""
        return 10 ** (6 - self.digits)

    @property
    def is_time(self):
        """Whether values count microseconds or days."""
        return self.family in ('tz', 'ts', 'date')

    def parse(self, text):
        """The value that the server printed."""
        if text is None:
            return None
        if self.family == 'int':
            return int(text)
        if self.is_time:
            return parse_time(text, self.family)
        return text

    def literal(self, value):
        """The value in SQL."""
        if value is None:
            return f'NULL::{self.sql}'
        if self.family == 'big' and value in BIG:
            return f'repeat({quote(value[:41])}, 200)'
        if isinstance(value, int) and not isinstance(value, bool) and self.family == 'int':
            return f"{value}" if value >= 0 and self.bits < 64 else f"'{value}'::{self.sql}"
        return f'{quote(self.text(value))}::{self.sql}'

    def text(self, value):
        """The value as input of the type."""
        if self.family == 'date':
            return (EPOCH + timedelta(days=value)).strftime('%Y-%m-%d')
        if self.is_time:
            text = (EPOCH + timedelta(microseconds=value)).isoformat(' ', 'microseconds')
            return text + ('+00' if self.family == 'tz' else '')
        return str(value)

    def coerce(self, value):
        """What an assignment makes of a value of the family."""
        if isinstance(value, int) and self.family == 'int' and not self.low <= value <= self.high:
            raise SqlError('22003')
        if value is not None and FORBIDDEN.get(self.sql) == value:
            raise SqlError('23514')
        if isinstance(value, int) and self.family in ('tz', 'ts'):
            return self.round(value)
        return value

    def round(self, value):
        """A time in the column's precision; the server rounds half a step up."""
        return (value + self.step // 2) // self.step * self.step

    def random(self, rng):
        """A value of some type whose values nobody computes with."""
        if self.family == 'int':
            return rng.randint(0, 9)
        if self.family == 'uuid':
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        if self.family == 'date':
            return rng.randint(19_700, 19_800)
        if self.is_time:
            return self.round(1_710_000_000_000_000 + rng.randrange(10 ** 13))
        return rng.choice(SAMPLES[self.sql])


def parse_time(text, family):
    """A printed date or time as a number."""
    if family == 'date':
        return (datetime.fromisoformat(text) - EPOCH).days
    moment = datetime.fromisoformat(text)
    if moment.tzinfo:
        moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return (moment - EPOCH) // timedelta(microseconds=1)


BIG = tuple((letter * 40 + str(number)) * 200 for number, letter in enumerate('xyz'))

# As the server prints them: a value is told from another by its text.
SAMPLES = {
    'text': ('ann', 'bob', 'Ann', '', "o'hara", 'äöü', 'a\tb'),
    'varchar(12)': ('ann', 'bob', ''),
    'char(5)': ('ab   ', 'abcde'),
    'numeric': ('0', '1.50', '-2.25', '123456789012345678901234567890.5', 'NaN'),
    'numeric(10,2)': ('0.00', '1.50', '99999999.99'),
    'double precision': ('0', '1.5', '-0.1', 'NaN', 'Infinity'),
    'boolean': ('t', 'f'),
    'json': ('{"a":1}', '{ "a": 1}', '[1, 2]', 'null', '{"a":1,"a":2}'),
    'jsonb': ('{"a": 1}', '{"b": [1, 2]}', 'null', '[]'),
    'int[]': ('{}', '{1,2}', '{2,1}', '{NULL}', '{{1},{2}}'),
    'text[]': ('{}', '{a,b}', '{"a,b"}', '{""}'),
    'bytea': ('\\x', '\\x00ff'),
    'point': ('(1,2)', '(0,0.5)'),
    'interval': ('1 day', '24:00:00', '1 mon'),
    'd_text': ('ann', 'bob', ''),
    'pair': ('(1,a)', '(,)', '(2,"x y")'),
    'xid': ('7', '8'),
}

INT2, INT4, INT8 = Type('smallint', 'int', 16), Type('int', 'int', 32), Type('bigint', 'int', 64)
D_INT, D_BIGINT = Type('d_int', 'int', 32, domain=True), Type('d_bigint', 'int', 64, domain=True)
UUID, D_UUID = Type('uuid', 'uuid'), Type('d_uuid', 'uuid', domain=True)
TIMESTAMPTZ = [Type('timestamptz', 'tz'), Type('timestamptz(3)', 'tz', digits=3),
               Type('timestamptz(0)', 'tz', digits=0)]
TIMESTAMP = [Type('timestamp', 'ts'), Type('timestamp(3)', 'ts', digits=3), Type('timestamp(0)', 'ts', digits=0)]
D_TZ3, D_TS1 = Type('d_tz3', 'tz', digits=3, domain=True), Type('d_ts1', 'ts', digits=1, domain=True)
DATE, D_DATE = Type('date', 'date'), Type('d_date', 'date', domain=True)
TEXT, NAME = Type('text', 'text'), Type('name', 'text')
VARCHAR, D_TEXT = Type('varchar(30)', 'text', length=30), Type('d_text', 'text', domain=True)
REGROLE, OID = Type('regrole', 'other'), Type('oid', 'int', 33)

VERSIONS = [INT2, INT4, INT4, INT8, INT8, UUID, D_INT, D_BIGINT, D_UUID, D_TZ3, *TIMESTAMPTZ]
TIMES = [*TIMESTAMPTZ, *TIMESTAMPTZ, *TIMESTAMP, DATE, D_DATE, INT8, D_BIGINT, D_TZ3, D_TS1]
ACTORS = [TEXT, NAME, VARCHAR, D_TEXT, INT4, INT8, UUID, D_UUID, REGROLE]
PAYLOADS = [Type(sql, 'other') for sql in SAMPLES if sql != 'text']

# Values that a domain's constraint does not let in.
FORBIDDEN = {'d_int': 9, 'd_bigint': 9}

DOMAINS = ('CREATE DOMAIN d_int AS int CHECK (VALUE <> 9)', 'CREATE DOMAIN d_bigint AS bigint CHECK (VALUE <> 9)',
           'CREATE DOMAIN d_uuid AS uuid', 'CREATE DOMAIN d_tz3 AS timestamptz(3)',
           'CREATE DOMAIN d_ts1 AS timestamp(1)', 'CREATE DOMAIN d_date AS date', 'CREATE DOMAIN d_text AS text',
           'CREATE TYPE pair AS (a int, b text)')
