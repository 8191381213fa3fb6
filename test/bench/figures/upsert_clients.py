"""Upserting rows as a Python program has them: orm_ext through psycopg2, and what drivers and ORMs do."""

import io
import json
import os
import sys

from psycopg2.extras import execute_batch, execute_values

from . import report
from .upsert_lanes import LANES, Tables, median, take_turns
from .upsert_rows import COLUMNS, MIXES, TYPES, batches
from .upsert_ways import CONFLICT, INSERT, VALUES, Way

BATCH = 1000
TURNS = 12 if os.environ.get('FULL') else 6     # of a batch each
WARM = 2
BY_NAME = f"{INSERT} VALUES ({', '.join(f'%({column})s' for column in COLUMNS)}) {CONFLICT}"
MIX = 'half'


def way(name, write, ours=False):
    """A way that gets a cursor and rows as dictionaries."""
    def send(lane, rows):
        write(lane.connection.cursor(), rows)
        lane.connection.commit()

    def encode(rows, lane):
        lane.connection.autocommit = False
        return [dict(zip(COLUMNS, row)) for row in rows]

    return Way(name, encode, send, ours=ours)


def through_values(cursor, rows):
    """execute_values() of psycopg2."""
    execute_values(cursor, f'{INSERT} VALUES %s {CONFLICT}', rows,
                   '(' + ', '.join(f'%({column})s' for column in COLUMNS) + ')', page_size=BATCH)


def through_arrays(cursor, rows):
    """A list for each column."""
    lists = ', '.join(f'%s::{kind}[]' for kind in TYPES)
    cursor.execute(f'{INSERT} SELECT * FROM unnest({lists}) {CONFLICT}',
                   [[row[column] for row in rows] for column in COLUMNS])


def csv_of(rows):
    """A file of rows; csv would be needed only if a value could have a comma."""
    return io.StringIO(''.join(','.join(map(str, row.values())) + '\n' for row in rows))


def through_temporary(cursor, rows):
    """COPY to a temporary table."""
    cursor.execute('CREATE TEMPORARY TABLE input (LIKE item) ON COMMIT DROP')
    cursor.copy_expert('COPY input FROM STDIN WITH (format csv)', csv_of(rows))
    cursor.execute(f'{INSERT} SELECT * FROM input {CONFLICT}')


def sqlalchemy_ways():
    """insert().on_conflict_do_update() with a list of dictionaries, as executemany and as one VALUES list."""
    try:
        import sqlalchemy       # pylint: disable=import-outside-toplevel
        from sqlalchemy.dialects.postgresql import insert       # pylint: disable=import-outside-toplevel
        from sqlalchemy.pool import StaticPool       # pylint: disable=import-outside-toplevel
    except ImportError:
        print('upsert_clients: left out: python3-sqlalchemy is missing', file=sys.stderr)
        return {}
    kinds = {'bigint': sqlalchemy.BigInteger, 'text': sqlalchemy.Text, 'int': sqlalchemy.Integer,
             'float8': sqlalchemy.Float}
    table = sqlalchemy.Table('item', sqlalchemy.MetaData(), *(
        sqlalchemy.Column(column, kinds[kind], primary_key=column == 'id') for column, kind in zip(COLUMNS, TYPES)))
    engines = {}

    def upsert():
        statement = insert(table)
        return statement.on_conflict_do_update(index_elements=['id'],
                                               set_={column: statement.excluded[column] for column in VALUES})

    def engine_of(lane):
        if lane not in engines:
            lane.connection.autocommit = False
            engines[lane] = sqlalchemy.create_engine('postgresql+psycopg2://', creator=lambda: lane.connection,
                                                     poolclass=StaticPool)
        return engines[lane]

    def executed(lane, rows):
        with engine_of(lane).begin() as connection:
            connection.execute(upsert(), rows)

    def in_values(lane, rows):
        statement = insert(table).values(rows)
        with engine_of(lane).begin() as connection:
            connection.execute(statement.on_conflict_do_update(
                index_elements=['id'], set_={column: statement.excluded[column] for column in VALUES}))

    def dictionaries(rows, _):
        return [dict(zip(COLUMNS, row)) for row in rows]

    name = f'SQLAlchemy {sqlalchemy.__version__}, on_conflict_do_update()'
    return {'sqlalchemy': Way(name, dictionaries, executed),
            'sqlalchemy_values': Way(f'{name} of a VALUES list', dictionaries, in_values)}


HAND = {
    'executemany': way('psycopg2, executemany()', lambda cursor, rows: cursor.executemany(BY_NAME, rows)),
    'batch': way('psycopg2, execute_batch()', lambda cursor, rows: execute_batch(cursor, BY_NAME, rows, BATCH)),
    'values': way('psycopg2, execute_values()', through_values),
    'arrays': way('psycopg2, unnest()', through_arrays),
    'temporary': way('psycopg2, COPY to a temporary table, ON CONFLICT', through_temporary),
}

OURS = {
    'jsonb': way('psycopg2, bulk_upsert(jsonb)', lambda cursor, rows: cursor.execute(
        "SELECT * FROM orm_ext.bulk_upsert('item', %s)", [json.dumps(rows)]), ours=True),
    'array': way('psycopg2, bulk_upsert(array)', lambda cursor, rows: cursor.execute(
        'SELECT * FROM orm_ext.bulk_upsert(%s::item[])', [[tuple(row.values()) for row in rows]]), ours=True),
    'copy': way('psycopg2, COPY … on_conflict', lambda cursor, rows: cursor.copy_expert(
        "COPY item FROM STDIN WITH (format csv, on_conflict 'update')", csv_of(rows)), ours=True),
}


def run(server):
    """Compares each of the ways with the door that takes the same: all that both processors have to do."""
    tables = Tables(server, 'upsert_clients')
    ways = {**OURS, **HAND, **sqlalchemy_ways()}
    rows = batches(MIXES[MIX], [BATCH] * (WARM + TURNS), 1)
    spent = {}
    try:
        names = list(ways)
        for start in range(0, len(names), LANES):
            some = names[start:start + LANES]
            with tables.lanes([ways[name] for name in some]) as lanes:
                spent.update(zip(some, take_turns(lanes, rows, WARM, 1)))
    finally:
        tables.close()
    return [report.measured(f'{MIXES[MIX].name}, {BATCH:,} a batch: {ways[ours].name}', ways[theirs].name, 'µs a row',
                            median(spent[ours], 'both'), median(spent[theirs], 'both'))
            for ours in OURS for theirs in ways if theirs not in OURS and (ours != 'array' or theirs == 'arrays')]
