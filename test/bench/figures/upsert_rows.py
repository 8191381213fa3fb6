"""The rows of the upsert benchmarks, and how the ways of sending them want them written."""

import itertools
import json
import random
import struct
from typing import NamedTuple

EXISTING = 1000000          # rows of the table; their ids are even, so that new ones fall between them

SCHEMA = """
CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL, quantity int NOT NULL, price float8 NOT NULL,
    note text)
"""
COLUMNS = ('id', 'name', 'quantity', 'price', 'note')
TYPES = ('bigint', 'text', 'int', 'float8', 'text')
OIDS = {'bigint': 20, 'text': 25, 'int': 23, 'float8': 701}
FORMATS = {'bigint': 'q', 'int': 'i', 'float8': 'd'}


class Mix(NamedTuple):
    """What the rows of an input are to the table, in parts of a hundred; the rest is unchanged."""
    name: str
    new: int
    changed: int
    in_order: bool = False      # by the key, and behind all that there are


MIXES = {
    'new': Mix('all new', 100, 0),
    'appended': Mix('all new, in key order', 100, 0, True),
    'half': Mix('half new', 50, 50),
    'changed': Mix('all changed', 0, 100),
    'few': Mix('95 % unchanged', 0, 5),
    'same': Mix('100 % unchanged', 0, 0),
}


def row(key, revision=0):
    """A row; the same as that in the table unless it is of another revision."""
    return key, f'name of row {key}', key % 1000 + revision, key / 4, f'{key * 2654435761 % 2 ** 32:08x}' * 5


class Existing:
    """A file of the rows that the table has, for COPY."""

    def __init__(self):
        self.position = 0

    def read(self, _):
        """Some thousand rows more."""
        keys = range(self.position, min(self.position + 5000, EXISTING))
        self.position += len(keys)
        return copy_text([row(2 * key) for key in keys])


def batches(mix, sizes, seed):
    """An input in batches of these sizes, in random order unless the mix says otherwise; no key comes twice."""
    order, count = random.Random(seed), sum(sizes)
    if mix.in_order:
        rows = [row(2 * EXISTING + number) for number in range(count)]
    else:
        keys = [2 * number for number in order.sample(range(EXISTING), count)]
        rows = [row(key + 1) if place % 100 < mix.new else row(key, int(place % 100 < mix.new + mix.changed))
                for place, key in enumerate(keys)]
        order.shuffle(rows)
    ends = list(itertools.accumulate(sizes))
    return [rows[end - size:end] for end, size in zip(ends, sizes)]


def copy_text(rows):
    """Rows for COPY in its text format; no value needs a backslash."""
    return ''.join('%d\t%s\t%d\t%r\t%s\n' % one for one in rows).encode()


def copy_binary(rows):
    """Rows for COPY in its binary format."""
    parts = [b'PGCOPY\n\xff\r\n\0', bytes(8)]
    for one in rows:
        parts.append(struct.pack('>h', len(one)))
        parts += map(_field, one, TYPES)
    return b''.join([*parts, b'\xff\xff'])


def as_json(rows):
    """Rows as an array of objects."""
    return json.dumps([dict(zip(COLUMNS, one)) for one in rows])


def text_arrays(rows):
    """An array for each column, as text; no value needs more than quotes, and most drivers quote all."""
    return ['{' + ','.join(f'"{value}"' for value in values) + '}' for values in zip(*rows)]


def binary_arrays(rows):
    """An array for each column, in the binary format."""
    return [_array(OIDS[kind], [_field(value, kind) for value in values])
            for values, kind in zip(zip(*rows), TYPES)]


def text_records(rows):
    """An array of records, as text."""
    return '{' + ','.join('"(%d,\\"%s\\",%d,%r,%s)"' % one for one in rows) + '}'


def binary_records(rows, type_oid):
    """An array of records, in the binary format."""
    records = []
    for one in rows:
        fields = b''.join(struct.pack('>I', OIDS[kind]) + _field(value, kind) for value, kind in zip(one, TYPES))
        records.append(struct.pack('>ii', len(fields) + 4, len(one)) + fields)
    return _array(type_oid, records)


def texts(one):
    """The values of a row, each as text."""
    return [str(value) for value in one]


def _field(value, kind):
    """A value with its length before it."""
    packed = value.encode() if kind == 'text' else struct.pack('>' + FORMATS[kind], value)
    return struct.pack('>i', len(packed)) + packed


def _array(oid, fields):
    """An array of one dimension."""
    return struct.pack('>iiIii', 1, 0, oid, len(fields), 1) + b''.join(fields)
