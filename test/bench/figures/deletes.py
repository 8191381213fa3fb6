"""Soft-deleting many rows: orm_ext, and other ways to do it."""

from . import report

ROWS = 200000           # of which every other one is deleted
COUNTED_ROWS = 20000    # the same under callgrind
ROUNDS = 15
SLOW_ROUNDS = 5         # of the ways that take long

SOURCE = """
CREATE TABLE source AS SELECT i::bigint AS id, (i % 1000)::int AS tenant, 'title of row ' || i AS title,
    repeat('x', 80) AS body, now() AS created_at, NULL::timestamptz AS deleted_at FROM generate_series(1, {}) AS i;
"""

# As enable_soft_delete() leaves a table with a unique key: a partial index, which no deleted row is in.
TABLE = """
DROP TABLE IF EXISTS victim CASCADE;
CREATE TABLE victim (LIKE source, PRIMARY KEY (id));
INSERT INTO victim SELECT * FROM source LIMIT {};
CREATE UNIQUE INDEX victim_title ON victim (tenant, title) WHERE deleted_at IS NULL;
"""

ORM_EXT = """
CREATE TRIGGER soft_delete BEFORE DELETE ON victim FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at')
"""

TRIGGER = """
CREATE OR REPLACE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE victim SET deleted_at = now() WHERE id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER mark BEFORE DELETE ON victim FOR EACH ROW EXECUTE FUNCTION mark()
"""

VIEW = """
CREATE VIEW victims AS SELECT * FROM victim WHERE deleted_at IS NULL;
CREATE RULE mark AS ON DELETE TO victims DO INSTEAD UPDATE victim SET deleted_at = now() WHERE id = OLD.id
"""

DELETE = 'DELETE FROM victim WHERE id % 2 = 0'

# name: (what prepares the table, statement, library)
WAYS = {
    'orm_ext': (ORM_EXT, DELETE, True),
    'UPDATE by hand': ('', 'UPDATE victim SET deleted_at = now() WHERE deleted_at IS NULL AND id % 2 = 0', False),
    'DELETE, rows gone': ('', DELETE, False),
    'PL/pgSQL trigger': (TRIGGER, DELETE, False),
    'view with a rule': (VIEW, 'DELETE FROM victims WHERE id % 2 = 0', False),
}


def prepare(cursor, way, rows=ROWS):
    """A fresh table for a way."""
    cursor.execute(TABLE.format(rows))
    if WAYS[way][0]:
        cursor.execute(WAYS[way][0])
    cursor.execute('VACUUM ANALYZE victim')


def milliseconds(server, way):
    """Deletes from a fresh table; milliseconds of the backend, since the machine may be busy with other things."""
    cursor = server.connect('deletes', library=WAYS[way][2]).cursor()
    prepare(cursor, way)
    started = server.processor_time(cursor.connection)
    cursor.execute(WAYS[way][1])
    elapsed = server.processor_time(cursor.connection) - started
    cursor.execute("SELECT count(*) FROM victim WHERE orm_ext.with_deleted(deleted_at) AND deleted_at IS NULL")
    if cursor.fetchone() != (ROWS // 2,):
        raise RuntimeError(f'{way} has deleted other rows than it should')
    cursor.connection.close()
    return elapsed


def measure(server):
    """Milliseconds of each way, round by round; the order changes from round to round."""
    times = {way: [] for way in WAYS}
    for round_number in range(ROUNDS):
        ways = [way for number, way in enumerate(WAYS) if number < 2 or round_number < SLOW_ROUNDS]
        for way in ways if round_number % 2 else [ways[1], ways[0], *ways[2:]]:
            times[way].append(milliseconds(server, way))
    return times


def count(server):
    """Instructions of the first two ways."""
    counts = []
    for way in ('orm_ext', 'UPDATE by hand'):
        cursor = server.connect('deletes').cursor()
        prepare(cursor, way, COUNTED_ROWS)
        cursor.connection.close()
        with server.counting() as counter:
            counts.append(counter.count('deletes', WAYS[way][1], WAYS[way][2], repetitions=1, warm=0))
    return counts


def run(server):
    """Times every way, and counts two."""
    cursor = server.connect('deletes').cursor()
    cursor.execute(SOURCE.format(ROWS))
    cursor.connection.close()

    times, figures = measure(server), []
    for way in list(WAYS)[1:]:
        at_most = 1.05 if way == 'UPDATE by hand' else None
        figures.append(report.timed(f'soft delete of {ROWS // 2:,} rows', way, times['orm_ext'], times[way], at_most))
    figures.insert(1, report.counted(f'soft delete of {COUNTED_ROWS // 2:,} rows', 'UPDATE by hand', *count(server),
                                     1.05))
    return figures
