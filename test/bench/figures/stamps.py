"""Stamping every row of a table: orm_ext, and other ways to do it."""

from . import report
from .ways import SOURCE, WAYS, alternate

ROWS = 200000
COUNTED_ROWS = 4000     # the same under callgrind
PASSES = 3              # over all rows, with new tables and sessions
SLICES = 100            # of a pass: each way updates one before the next one's turn

UPDATE = 'UPDATE {} SET quantity = quantity + 1{}'


def create(server):
    """A table and a session for each way."""
    sessions = {}
    for name, way in WAYS.items():
        cursor = server.connect('stamps', way.preloaded).cursor()
        cursor.execute(f'DROP TABLE IF EXISTS all_{name}, all_{name}_history;'
                       f'DROP FUNCTION IF EXISTS keep_all_{name}()')
        way.create(server, cursor, f'all_{name}', ROWS)
        sessions[name] = cursor
    return sessions


def update_all(server, sessions):
    """Milliseconds of the backend in which each way updates all rows, at the pace of each slice.

    The shorter the slices, the more alike is what the machine does besides.
    """
    def milliseconds(way, number):
        cursor = sessions[way]
        started = server.processor_time(cursor.connection)
        cursor.execute(UPDATE.format(f'all_{way}', WAYS[way].assignments) + ' WHERE id > %s AND id <= %s',
                       (number * ROWS // SLICES, (number + 1) * ROWS // SLICES))
        return (server.processor_time(cursor.connection) - started) * SLICES

    return alternate(SLICES, milliseconds)


def measure(server):
    """Milliseconds of all passes."""
    times = {way: [] for way in WAYS}
    for _ in range(PASSES):
        sessions = create(server)
        for way, paces in update_all(server, sessions).items():
            times[way] += paces
            WAYS[way].check(sessions[way], f'all_{way}')
            sessions[way].connection.close()
    return times


def count(server):
    """Instructions of each way for the update of a table that has been updated once."""
    cursor = server.connect('stamps').cursor()
    for name, way in WAYS.items():
        way.create(server, cursor, f'counted_{name}', COUNTED_ROWS)
    cursor.connection.close()
    with server.counting() as counter:
        return {name: counter.count('stamps', UPDATE.format(f'counted_{name}', way.assignments), way.preloaded,
                                    repetitions=1, warm=1) for name, way in WAYS.items()}


def run(server):
    """Times every way, and counts."""
    cursor = server.connect('stamps').cursor()
    cursor.execute(SOURCE.format(ROWS))
    cursor.connection.close()

    times, counts = measure(server), count(server)
    timed, counted = f'stamps of {ROWS:,} rows', f'stamps of {COUNTED_ROWS:,} rows'
    figures = []
    for way, at_most in (('noop', 1.6), ('moddatetime', 1.0), ('plpgsql', None)):
        figures += [report.added(f'{timed}, overhead', WAYS[way].name, times['stamp'], times[way], times['none'],
                                 at_most),
                    report.counted(f'{counted}, overhead', WAYS[way].name, counts['stamp'] - counts['none'],
                                   counts[way] - counts['none'], at_most)]
    for way in WAYS:
        if way not in ('noop', 'stamp', 'two'):
            figures += [report.timed(timed, WAYS[way].name, times['stamp'], times[way]),
                        report.counted(counted, WAYS[way].name, counts['stamp'], counts[way])]
    for way in ('stamp', 'none', 'moddatetime'):
        figures += [report.timed(f'{timed}, two triggers', WAYS[way].name, times['two'], times[way]),
                    report.counted(f'{counted}, two triggers', WAYS[way].name, counts['two'], counts[way])]
    return figures
