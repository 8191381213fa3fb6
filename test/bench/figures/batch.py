"""Batched jobs: orm_ext, one statement for all rows, and batches as they are written by hand."""

import os

from . import report

ROWS = int(os.environ.get('ORM_EXT_BATCH_ROWS', '1000000'))
SIZES = [size for size in (10000, 100000, 1000000, 10000000) if size <= max(ROWS, 1000000)]
BATCH = 10000
ROUNDS = 3
HAND_ROWS = 200000      # of loops by hand, which take long

TABLE = """
DROP TABLE IF EXISTS item;
CREATE TABLE item (id {key} PRIMARY KEY, tenant int, n int NOT NULL DEFAULT 0, done boolean, body text)
    WITH (fillfactor = {fillfactor});
INSERT INTO item SELECT {value}, i % 1000, 0, NULL, repeat('x', 80) FROM generate_series(1, {rows}) AS i;
CREATE INDEX ON item (tenant);
"""

BIGINT = {'key': 'bigint', 'value': 'i', 'fillfactor': 100}
UUID = {'key': 'uuid', 'value': 'md5(i::text)::uuid', 'fillfactor': 100}
ROOMY = {'key': 'uuid', 'value': 'md5(i::text)::uuid', 'fillfactor': 45}

# A loop as it stands in many a migration: the next rows that are not done, and again.
LOOP = """
CREATE OR REPLACE PROCEDURE by_hand(batch int) LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        UPDATE item SET done = true WHERE {};
        EXIT WHEN NOT FOUND;
        COMMIT;
    END LOOP;
END $$;
"""

HANDS = {
    'loop, key IN (SELECT … LIMIT n)':
        'id IN (SELECT id FROM item WHERE done IS NULL LIMIT batch FOR UPDATE SKIP LOCKED)',
    'loop, ctid = ANY (… LIMIT n)':
        'ctid = ANY (ARRAY(SELECT ctid FROM item WHERE done IS NULL LIMIT batch FOR UPDATE SKIP LOCKED))',
}

# (what, table, one statement, batched job, what has to be true of every row)
JOBS = [
    ('UPDATE, by key', BIGINT, 'UPDATE item SET n = n + 1',
     "CALL orm_ext.batch_update('item', 'n = n + 1', batch_size => {})", 'n = 1'),
    ('guarded UPDATE, by ctid', BIGINT, 'UPDATE item SET done = true WHERE done IS NULL',
     "CALL orm_ext.batch_update('item', 'done = true', 'done IS NULL', batch_size => {})", 'done'),
    ('guarded UPDATE, uuid, HOT', ROOMY, 'UPDATE item SET done = true WHERE done IS NULL',
     "CALL orm_ext.batch_update('item', 'done = true', 'done IS NULL', batch_size => {})", 'done'),
    ('UPDATE, by key, uuid', UUID, 'UPDATE item SET n = n + 1',
     "CALL orm_ext.batch_update('item', 'n = n + 1', batch_size => {})", 'n = 1'),
    ('DELETE of every other row', BIGINT, 'DELETE FROM item WHERE tenant % 2 = 0',
     "CALL orm_ext.batch_delete('item', 'tenant % 2 = 0', batch_size => {})", 'tenant % 2 = 1'),
]


def measure(server, table, rows, statement, check, setup=None):
    """Milliseconds of the backend, and bytes of WAL, that a statement takes on a fresh table."""
    cursor = server.connect('batch').cursor()
    cursor.execute(TABLE.format(rows=rows, **table))
    if setup:
        cursor.execute(setup)
    cursor.execute('VACUUM ANALYZE item')
    cursor.execute('CHECKPOINT')
    cursor.execute('SELECT pg_current_wal_insert_lsn()')
    place = cursor.fetchone()
    started = server.processor_time(cursor.connection)
    cursor.execute(statement)
    elapsed = server.processor_time(cursor.connection) - started
    cursor.execute('SELECT pg_current_wal_insert_lsn() - %s', place)
    wal = int(cursor.fetchone()[0])
    cursor.execute(f'SELECT count(*) FROM item WHERE ({check}) IS NOT TRUE')
    if cursor.fetchone() != (0,):
        raise RuntimeError(f'{statement} has not done every row once')
    cursor.connection.close()
    return elapsed, wal


def against_one_statement(server):
    """Each job, and the statement that does the same at once."""
    figures = []
    for what, table, statement, job, check in JOBS:
        ours, theirs = [], []
        for number in range(ROUNDS):
            ways = [(ours, job.format(BATCH)), (theirs, statement)]
            for results, command in ways if number % 2 else reversed(ways):
                results.append(measure(server, table, ROWS, command, check))
        name = f'{what}: {ROWS:,} rows'
        figure = report.timed(name, 'one statement', *([time for time, _ in results] for results in (ours, theirs)),
                              1.10)
        wal = [min(wal for _, wal in results) / 1e6 for results in (ours, theirs)]
        figures += [figure, report.measured(f'{name}, WAL', 'one statement', 'MB', *wal)]
    return figures


def against_loops(server):
    """A guarded UPDATE, and loops that do the same."""
    figures = []
    what, table, _, job, check = JOBS[1]
    for name, condition in HANDS.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(measure(server, table, HAND_ROWS, job.format(BATCH // 10), check)[0])
            theirs.append(measure(server, table, HAND_ROWS, f'CALL by_hand({BATCH // 10})', check,
                                  LOOP.format(condition))[0])
        figures.append(report.timed(f'{what}: {HAND_ROWS:,} rows, 1,000 a batch', name, ours, theirs))
    return figures


def by_size(server):
    """What a row costs in tables of many sizes: batched, in relation to the smallest table."""
    figures = []
    for what, table, _, job, check in JOBS[:2]:
        costs = {size: [] for size in SIZES}
        for _ in range(ROUNDS):
            for size in SIZES:
                times = [measure(server, table, size, job.format(BATCH), check)[0]
                         for _ in range(3 if size <= 100000 else 1)]
                costs[size].append(min(times) * 1000 / size)
        for size in SIZES[1:]:
            pairs = sorted(zip(costs[size], costs[SIZES[0]]), key=lambda pair: pair[0] / pair[1])
            figures.append(report.measured(f'{what}: a row of {size:,}', f'a row of {SIZES[0]:,}', 'µs',
                                           *pairs[len(pairs) // 2], 1.25))
    return figures


def run(server):
    """Times batched jobs."""
    return against_one_statement(server) + against_loops(server) + by_size(server)
