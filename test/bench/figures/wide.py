"""Stamping rows of many columns."""

from . import report
from .ways import WAYS

COLUMNS = 200
ROWS = 500
OTHERS = ('none', 'noop', 'moddatetime', 'plpgsql')

# The last column before the stamps is assigned, so that every row has to be taken apart that far.
UPDATES = [
    (f'stamps of {ROWS:,} rows of {COLUMNS} columns', 'UPDATE {} SET quantity = quantity + 1'),
    (f'nothing changed in {ROWS:,} rows of {COLUMNS} columns', 'UPDATE {} SET quantity = quantity'),
]


def shape():
    """The statements that make such a table; a quarter of the columns are texts."""
    numbers = range(COLUMNS - 5)
    middle = ', '.join(f"c{number} {'int' if number % 4 else 'text'} NOT NULL" for number in numbers)
    values = ', '.join(f'i + {number}' if number % 4 else f"'text ' || i + {number}" for number in numbers)
    return f"""
        CREATE TABLE {{table}} (id int PRIMARY KEY, {middle}, quantity int NOT NULL,
            created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, version_id bigint NOT NULL);
        INSERT INTO {{table}} SELECT i, {values}, 0, now(), now(), 1 FROM generate_series(1, {{rows}}) AS i
    """


def count(counter, statement):
    """Instructions of each way for the update of a table that has been updated once."""
    return {way: counter.count('wide', statement.format(f'wide_{way}'), WAYS[way].preloaded, repetitions=1, warm=1)
            for way in ('stamp', *OTHERS)}


def run(server):
    """Counts updates that change rows, and updates that do not."""
    cursor = server.connect('wide').cursor()
    for way in ('stamp', *OTHERS):
        WAYS[way].create(server, cursor, f'wide_{way}', ROWS, shape())
    cursor.connection.close()
    figures = []
    with server.counting() as counter:
        for what, statement in UPDATES:
            counts = count(counter, statement)
            figures += [report.counted(what, WAYS[way].name, counts['stamp'], counts[way],
                                       1.0 if way == 'moddatetime' else None) for way in OTHERS]
    return figures
