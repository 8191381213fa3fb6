"""Batched jobs: orm_ext, one statement for all rows, and batches as they are written by hand."""

import os

from . import report

ROWS = int(os.environ.get('ORM_EXT_BATCH_ROWS', '1000000'))
SIZES = [size for size in (10000, 100000, 1000000, 10000000) if size <= max(ROWS, 100000)]
BATCH = 10000
ROUNDS = 3
LOOP_ROWS = min(ROWS, 200000)   # of loops by hand, which take long

TABLE = """
DROP TABLE IF EXISTS item;
CREATE TABLE item (id bigint PRIMARY KEY, tenant int, title text, n int NOT NULL DEFAULT 0, done boolean, body text)
    WITH (fillfactor = {fillfactor});
INSERT INTO item SELECT i, i % 1000, md5(i::text), 0, NULL, repeat('x', 50) FROM generate_series(1, {rows}) AS i;
CREATE UNIQUE INDEX ON item (title);
{index};
"""

# Rows that fill their pages have their new versions elsewhere, so that every index is written.
FULL = {'fillfactor': 100, 'index': ''}
ROOMY = {'fillfactor': 45, 'index': ''}

# PostgreSQL removes old versions from an index with few values on the way, once they are committed.
FEW_VALUES = {'fillfactor': 100, 'index': 'CREATE INDEX ON item (tenant)'}

# A loop as it stands in many a migration: the next rows, and again.
LOOP = """
CREATE OR REPLACE PROCEDURE by_hand(batch int) LANGUAGE plpgsql AS $$
DECLARE
    behind bigint := 0;
    upto bigint;
BEGIN
    LOOP
        {}
        COMMIT;
    END LOOP;
END $$;
"""

UNTIL_DONE = 'UPDATE item SET done = true WHERE {}; EXIT WHEN NOT FOUND;'
BY_KEY = """
        SELECT max(id) INTO upto FROM (SELECT id FROM item WHERE id > behind ORDER BY id LIMIT batch) AS next;
        EXIT WHEN upto IS NULL;
        UPDATE item SET n = n + 1 WHERE id > behind AND id <= upto;
        behind := upto;
"""

# (what, table, one statement, batched job, what has to be true of every row, at most)
JOBS = [
    ('UPDATE, by key', FULL, 'UPDATE item SET n = n + 1',
     "CALL orm_ext.batch_update('item', 'n = n + 1', batch_size => {})", 'n = 1', 1.10),
    ('guarded UPDATE, by ctid', FULL, 'UPDATE item SET done = true WHERE done IS NULL',
     "CALL orm_ext.batch_update('item', 'done = true', 'done IS NULL', batch_size => {})", 'done', 1.10),
    ('HOT UPDATE, by key', ROOMY, 'UPDATE item SET n = n + 1',
     "CALL orm_ext.batch_update('item', 'n = n + 1', batch_size => {})", 'n = 1', None),
    ('guarded HOT UPDATE, by ctid', ROOMY, 'UPDATE item SET done = true WHERE done IS NULL',
     "CALL orm_ext.batch_update('item', 'done = true', 'done IS NULL', batch_size => {})", 'done', None),
    ('DELETE of every other row', FULL, 'DELETE FROM item WHERE tenant % 2 = 0',
     "CALL orm_ext.batch_delete('item', 'tenant % 2 = 0', batch_size => {})", 'tenant % 2 = 1', None),
]

# (what, table, job, loop by hand, rows in a batch)
LOOPS = [
    ('UPDATE, by key', FULL, JOBS[0], ('ranges of the key', BY_KEY), BATCH),
    ('UPDATE, by key, an index of few values', FEW_VALUES, JOBS[0], ('ranges of the key', BY_KEY), BATCH),
    ('guarded UPDATE, by ctid', FULL, JOBS[1], ('key IN (… LIMIT n)', UNTIL_DONE.format(
        'id IN (SELECT id FROM item WHERE done IS NULL LIMIT batch FOR UPDATE SKIP LOCKED)')), BATCH // 10),
    ('guarded UPDATE, by ctid', FULL, JOBS[1], ('ctid = ANY (… LIMIT n)', UNTIL_DONE.format(
        'ctid = ANY (ARRAY(SELECT ctid FROM item WHERE done IS NULL LIMIT batch FOR UPDATE SKIP LOCKED))')),
     BATCH // 10),
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
    for what, table, statement, job, check, at_most in JOBS:
        ours, theirs = [], []
        for number in range(ROUNDS):
            ways = [(ours, job.format(BATCH)), (theirs, statement)]
            for results, command in ways if number % 2 else reversed(ways):
                results.append(measure(server, table, ROWS, command, check))
        name = f'{what}: {ROWS:,} rows'
        figure = report.timed(name, 'one statement', *([time for time, _ in results] for results in (ours, theirs)),
                              at_most)
        wal = [min(wal for _, wal in results) / 1e6 for results in (ours, theirs)]
        figures += [figure, report.measured(f'{name}, WAL', 'one statement', 'MB', *wal)]
    return figures


def against_loops(server):
    """Jobs, and loops in PL/pgSQL that do the same."""
    figures = []
    for what, table, (_, _, _, job, check, _), (name, loop), batch in LOOPS:
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(measure(server, table, LOOP_ROWS, job.format(batch), check)[0])
            theirs.append(measure(server, table, LOOP_ROWS, f'CALL by_hand({batch})', check, LOOP.format(loop))[0])
        figures.append(report.timed(f'{what}: {LOOP_ROWS:,} rows, {batch:,} a batch', f'loop: {name}', ours, theirs))
    return figures


def by_size(server):
    """What a row costs in tables of many sizes: batched, in relation to the smallest table."""
    figures = []
    for what, table, _, job, check, _ in JOBS[:2]:
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
