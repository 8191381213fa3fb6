"""Purging soft-deleted rows: orm_ext, and a DELETE of the same rows at once."""

from . import report

ROUNDS = 5
DELETED = "timestamptz '2001-01-01'"
DUE = "deleted_at <= now() - interval '1 day'"

TABLES = """
DROP TABLE IF EXISTS child, parent;
CREATE TABLE parent (id int PRIMARY KEY, n int, body text, deleted_at timestamptz);
CREATE INDEX ON parent (n);
SELECT orm_ext.enable_soft_delete('parent');
"""
CHILD = """
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE, body text, deleted_at timestamptz);
CREATE INDEX ON child (parent_id);
SELECT orm_ext.enable_soft_delete('child');
"""

# Every other row is deleted.
FILL = """
SET session_replication_role = replica;
INSERT INTO parent SELECT i, i % 1000, repeat('x', 100), CASE WHEN i % 2 = 0 THEN {deleted} END FROM generate_series(1, 2 * {parents}) AS i;
"""
FILL_CHILD = """
INSERT INTO child SELECT i, i / {children} + 1, repeat('x', 100), CASE WHEN (i / {children} + 1) % 2 = 0 THEN {deleted} END
    FROM generate_series(0, 2 * {parents} * {children} - 1) AS i;
"""

CASCADE = [f'DELETE FROM parent WHERE {DUE}']
BOTH = ['BEGIN', f'DELETE FROM child WHERE {DUE}', f'DELETE FROM parent WHERE {DUE}', 'COMMIT']

# (what, parents, children of each, name of the other way, its statements, at most)
CASES = [
    ('100,000 rows, to which nothing refers', 100000, 0, 'one DELETE', CASCADE, 1.2),
    ('50,000 rows with 1 that refers to each', 50000, 1, 'one DELETE, cascading', CASCADE, None),
    ('50,000 rows with 1 that refers to each', 50000, 1, 'a DELETE of each table', BOTH, None),
    ('1,000 rows with 100 that refer to each', 1000, 100, 'one DELETE, cascading', CASCADE, None),
    ('1,000 rows with 100 that refer to each', 1000, 100, 'a DELETE of each table', BOTH, 1.2),
]


def measure(server, parents, children, statements):
    """Milliseconds of the backend that statements take on fresh tables."""
    cursor = server.connect('purge').cursor()
    cursor.execute("LOAD 'orm_ext'")
    cursor.execute(TABLES + (CHILD if children else ''))
    cursor.execute((FILL + (FILL_CHILD if children else '')).format(parents=parents, children=children, deleted=DELETED))
    cursor.execute('RESET session_replication_role')
    cursor.execute('VACUUM ANALYZE')
    cursor.execute('CHECKPOINT')
    started = server.processor_time(cursor.connection)
    for statement in statements:
        cursor.execute(statement)
    elapsed = server.processor_time(cursor.connection) - started
    cursor.execute('SET row_security = off')
    for table, rows in [('parent', parents)] + ([('child', parents * children)] if children else []):
        cursor.execute(f'SELECT count(*), count(deleted_at) FROM {table}')
        if cursor.fetchone() != (rows, 0):
            raise RuntimeError(f'{statements} has not left the live rows of {table} alone')
    cursor.connection.close()
    return elapsed


def run(server):
    """Times purges."""
    figures = []
    for what, parents, children, other, statements, at_most in CASES:
        for batch in (1000, 10000):
            ours, theirs = [], []
            for number in range(ROUNDS):
                ways = [(ours, [f"CALL orm_ext.purge('parent', '1 day', {batch})"]), (theirs, statements)]
                for times, commands in ways if number % 2 else reversed(ways):
                    times.append(measure(server, parents, children, commands))
            figures.append(report.timed(f'purge of {what}, {batch:,} a batch', other, ours, theirs, at_most))
    return figures
