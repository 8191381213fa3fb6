"""Stamping one row that is updated by its key: orm_ext, and other ways to do it."""

import os

from . import report
from .ways import SOURCE, WAYS, alternate

ROWS = 10000
PASSES = 6              # with new tables and sessions, since some are luckier with their places in memory
ROUNDS = 40
STATEMENTS = 1000       # in a row on one table, before it is another one's turn; all rounds reach every row
PGBENCH_ROUNDS = 17
PGBENCH_STATEMENTS = 4000
PGBENCH_WAYS = ('none', 'noop', 'stamp', 'moddatetime', 'client')

UPDATE = 'UPDATE {} SET quantity = quantity + 1{} WHERE id = {}'

# A prepared statement, as PL/pgSQL keeps them, without the way to the client and back; the keys are
# spread over the table.
LOOP = """
DO $$ BEGIN
    FOR number IN {first} .. {first} + {statements} - 1 LOOP
        {update};
    END LOOP;
END $$
"""
KEY = f'number * 7919::bigint % {ROWS} + 1'


def create(server):
    """A table and a session for each way."""
    sessions = {}
    for name, way in WAYS.items():
        sessions[name] = server.connect('stamp_row', way.preloaded)
        cursor = sessions[name].cursor()
        cursor.execute(f'DROP TABLE IF EXISTS row_{name}, row_{name}_history;'
                       f'DROP FUNCTION IF EXISTS keep_row_{name}()')
        way.create(server, cursor, f'row_{name}', ROWS)
    return sessions


def update_rows(server, sessions):
    """Milliseconds of the backend for some updates in one transaction, by way."""
    def measure(way, number):
        update = UPDATE.format(f'row_{way}', WAYS[way].assignments, KEY)
        loop = LOOP.format(update=update, first=number * STATEMENTS, statements=STATEMENTS)
        started = server.processor_time(sessions[way])
        sessions[way].cursor().execute(loop)
        return server.processor_time(sessions[way]) - started

    return alternate(ROUNDS, measure)


def processor_times(server):
    """Milliseconds of all passes."""
    times = {way: [] for way in WAYS}
    for _ in range(PASSES):
        sessions = create(server)
        for way, milliseconds in update_rows(server, sessions).items():
            times[way] += milliseconds
            WAYS[way].check(sessions[way].cursor(), f'row_{way}')
            sessions[way].close()
    return times


def pgbench_times(server):
    """Milliseconds that pgbench waits for an update, by way."""
    def measure(way, _):
        path = os.path.join(server.directory, f'row_{way}.sql')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'\\set id random(1, {ROWS})\n'
                       + UPDATE.format(f'row_{way}', WAYS[way].assignments, ':id') + ';\n')
        return server.pgbench('stamp_row', WAYS[way].preloaded, path, PGBENCH_STATEMENTS)

    return alternate(PGBENCH_ROUNDS, measure, PGBENCH_WAYS)


def count(counter, way):
    """Instructions of a prepared update that is a transaction of its own."""
    update = UPDATE.format(f'row_{way}', WAYS[way].assignments, '$1')
    return counter.count('stamp_row', 'EXECUTE change ($n)', WAYS[way].preloaded,
                         setup=f'PREPARE change (bigint) AS {update}')


def run(server):
    """Times every way in the backend, some in pgbench, and counts."""
    cursor = server.connect('stamp_row').cursor()
    cursor.execute(SOURCE.format(ROWS))
    cursor.connection.close()

    times, waited = processor_times(server), pgbench_times(server)
    with server.counting() as counter:
        counts = {way: count(counter, way) for way in WAYS}

    def added(other, at_most=None):
        return report.added(f'stamps of a row, {STATEMENTS:,} times, overhead', WAYS[other].name, times['stamp'],
                            times[other], times['none'], at_most)

    def counted(other, at_most=None):
        return report.counted('stamps of a row, overhead', WAYS[other].name, counts['stamp'] - counts['none'],
                              counts[other] - counts['none'], at_most)

    return [added('noop', 1.6), added('moddatetime', 1.0), added('plpgsql'), added('two'),
            *(report.timed(f'stamps of a row, {STATEMENTS:,} times', WAYS[other].name, times['stamp'], times[other])
              for other in WAYS if other not in ('noop', 'stamp')),
            counted('noop', 1.6), counted('moddatetime', 1.0), counted('plpgsql'), counted('two'),
            *(report.counted('stamps of a row', WAYS[other].name, counts['stamp'], counts[other])
              for other in WAYS if other not in ('noop', 'stamp', 'two')),
            *(report.timed('stamps of a row, pgbench -M prepared', WAYS[other].name, waited['stamp'], waited[other])
              for other in PGBENCH_WAYS if other != 'stamp')]
