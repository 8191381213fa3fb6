"""A page of live rows where most rows are deleted."""

import os
import random

from . import report

# Tables: under soft delete with a partial index, the same with a full index, and the twin where the
# deleted rows are really gone.
SCHEMA = """
CREATE TABLE soft (id bigint NOT NULL, tenant int NOT NULL, title text NOT NULL, body text NOT NULL,
    deleted_at timestamptz);
INSERT INTO soft SELECT i, i % 1000, 'title of row ' || i, repeat('x', 100),
    CASE WHEN hashint8(i) % 10 <> 0 THEN now() END FROM generate_series(1, 1000000) AS i;
CREATE TABLE soft_full (LIKE soft);
INSERT INTO soft_full SELECT * FROM soft;
CREATE TABLE gone (LIKE soft);
INSERT INTO gone SELECT * FROM soft WHERE deleted_at IS NULL;

ALTER TABLE soft ADD PRIMARY KEY (id);
ALTER TABLE soft_full ADD PRIMARY KEY (id);
ALTER TABLE gone ADD PRIMARY KEY (id);
CREATE INDEX ON soft (tenant, id) WHERE deleted_at IS NULL;
CREATE INDEX ON soft_full (tenant, id);
CREATE INDEX ON gone (tenant, id);
CREATE TRIGGER soft_delete BEFORE DELETE ON soft FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON soft_full FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
"""

PAGE = 'SELECT * FROM {} WHERE tenant = {} ORDER BY id LIMIT 20'
ROUNDS = 41
PAGES = 200             # in a row from one table, before it is another one's turn
PGBENCH_ROUNDS = 21
PGBENCH_PAGES = 2000

WHAT, TWIN = 'page of 20 live rows', 'rows really gone'

# Sides: a table, and whether its sessions have the library.
SOFT, GONE, SOFT_FULL = ('soft', True), ('gone', False), ('soft_full', True)


def build(server):
    """The tables."""
    cursor = server.connect('page').cursor()
    cursor.execute(SCHEMA)
    cursor.execute('VACUUM ANALYZE')
    cursor.connection.close()


def alternate(rounds, sides, measure):
    """What measure() says of each side in each round, sides in turn."""
    times = {side: [] for side in sides}
    for round_number in range(rounds):
        for side in sides if round_number % 2 else reversed(sides):
            times[side].append(measure(side))
    return times


def processor_times(server, sides, prepared):
    """Milliseconds of the backend for a page, by side."""
    sessions = {}
    for side in sides:
        table, library = side
        sessions[side] = server.connect('page', library)
        sessions[side].cursor().execute(f'PREPARE page (int) AS {PAGE.format(table, "$1")}')

    def measure(side):
        statement = 'EXECUTE page ({})' if prepared else PAGE.format(side[0], '{}')
        cursor = sessions[side].cursor()
        started = server.processor_time(sessions[side])
        for _ in range(PAGES):
            cursor.execute(statement.format(random.randrange(1000)))
        return (server.processor_time(sessions[side]) - started) / PAGES

    times = alternate(ROUNDS, sides, measure)
    for session in sessions.values():
        session.close()
    return times


def pgbench_times(server, sides):
    """Milliseconds that pgbench waits for a page, by side."""
    def measure(side):
        table, library = side
        path = os.path.join(server.directory, f'{table}.sql')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\\set tenant random(0, 999)\n' + PAGE.format(table, ':tenant') + ';\n')
        return server.pgbench('page', library, path, PGBENCH_PAGES)

    return alternate(PGBENCH_ROUNDS, sides, measure)


def run(server):
    """Times pages in the backend and in pgbench, and counts their instructions."""
    build(server)
    random.seed(1)
    prepared = processor_times(server, (SOFT, GONE, SOFT_FULL), prepared=True)
    simple = processor_times(server, (SOFT, GONE), prepared=False)
    waited = pgbench_times(server, (SOFT, GONE))
    figures = [
        report.timed(f'{WHAT}, prepared', TWIN, prepared[SOFT], prepared[GONE], 1.5),
        report.timed(f'{WHAT}, simple', TWIN, simple[SOFT], simple[GONE], 1.5),
        report.timed(f'{WHAT}, pgbench -M prepared', TWIN, waited[SOFT], waited[GONE], 1.5),
        report.timed(f'{WHAT}, full index, prepared', TWIN, prepared[SOFT_FULL], prepared[GONE]),
    ]
    with server.counting() as counter:
        counts = [counter.count('page', PAGE.format(table, '$n'), library) for table, library in (SOFT, GONE)]
    figures.insert(2, report.counted(f'{WHAT}, simple', TWIN, *counts, 1.5))
    return figures
