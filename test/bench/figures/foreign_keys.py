"""Foreign keys for live rows: orm_ext, and the server's own for rows that are really deleted."""

from . import report

PARENTS = 1000
CHILDREN = 100000
ROUNDS = 9
SOFT_DELETE = ("CREATE TRIGGER soft_delete BEFORE DELETE ON {} FOR EACH ROW"
               " EXECUTE FUNCTION orm_ext.soft_delete('deleted_at'{});")

TABLES = """
DROP TABLE IF EXISTS parent, child CASCADE;
CREATE TABLE parent (id int PRIMARY KEY, title text NOT NULL, n int NOT NULL DEFAULT 0, deleted_at timestamptz)
    WITH (fillfactor = {fillfactor});
CREATE TABLE child (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parent {action}, body text,
    deleted_at timestamptz) WITH (fillfactor = {fillfactor});
INSERT INTO parent SELECT i, 'title of parent ' || i FROM generate_series(1, 2 * {parents}) AS i;
INSERT INTO child SELECT i, i % {parents} + 1, repeat('x', 60) FROM generate_series(1, {children}) AS i;
CREATE INDEX ON child (parent_id);
"""
DELETE = f'DELETE FROM parent WHERE id <= {PARENTS}'
BY_HAND = (f'UPDATE child SET deleted_at = now() WHERE parent_id <= {PARENTS};'
           f' UPDATE parent SET deleted_at = now() WHERE id <= {PARENTS}')
DELETE_CHILDLESS = f'DELETE FROM parent WHERE id > {PARENTS}'
DELETION = 'SELECT max(deleted_at) FROM parent WHERE deleted_at IS NOT NULL'

# Rows that fill their pages have their new versions elsewhere, so that every index is written.
FULL, ROOMY = 100, 45

# Tables of many rows, for statements on single ones: (name, action of the foreign key, options of soft delete
# or None, children)
SINGLE = """
CREATE TABLE parent_{name} (id int PRIMARY KEY, title text NOT NULL, n int NOT NULL DEFAULT 0,
    deleted_at timestamptz);
CREATE TABLE child_{name} (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parent_{name} {action},
    n int NOT NULL DEFAULT 0, deleted_at timestamptz);
INSERT INTO parent_{name} SELECT i, 'title of parent ' || i FROM generate_series(1, 5000) AS i;
INSERT INTO child_{name} SELECT i, (i - 1) / 2 + 1 FROM generate_series(1, {rows}) AS i;
CREATE INDEX ON child_{name} (parent_id);
"""
GROUPS = [('soft', 'ON DELETE CASCADE', '', 10000), ('off', 'ON DELETE CASCADE', ", 'foreign_keys=off'", 10000),
          ('plain', 'ON DELETE CASCADE', None, 10000),
          ('soft_kept', '', '', 0), ('plain_kept', '', None, 0)]

# (what, statement, executions that are counted, (what it is compared with, its tables, at most))
STATEMENTS = [
    ('UPDATE of a parent', 'UPDATE parent_{} SET n = n + 1 WHERE id = $n', 300,
     [('foreign_keys=off', 'off', 1.01), ('no policy', 'plain', None)]),
    ('UPDATE of a child', 'UPDATE child_{} SET n = n + 1 WHERE id = $n', 300,
     [('foreign_keys=off', 'off', 1.01), ('no policy', 'plain', None)]),
    ('UPDATE of 10,000 children', 'UPDATE child_{} SET n = n + 1', 2,
     [('foreign_keys=off', 'off', 1.01), ('no policy', 'plain', 1.01)]),
    ('INSERT of a child', 'INSERT INTO child_{} VALUES (20000 + $n, $n)', 300, [('no policy', 'plain', None)]),
    ('INSERT of 2,000 children',
     'INSERT INTO child_{} SELECT 30000 + $n * 2000 + i, i FROM generate_series(1, 2000) AS i', 2,
     [('no policy', 'plain', None)]),
    ('DELETE of a child', 'DELETE FROM child_{} WHERE id = 10000 - $n', 300, [('rows gone', 'plain', None)]),
    ('DELETE of a parent, two children go along', 'DELETE FROM parent_{} WHERE id = $n', 200,
     [('rows gone', 'plain', None)]),
    ('DELETE of a parent, NO ACTION finds none', 'DELETE FROM parent_{}_kept WHERE id = $n', 200,
     [('rows gone', 'plain', None)]),
]


def prepare(server, managed, fillfactor=FULL, action='ON DELETE CASCADE'):
    """Fresh tables of many rows, and a session on them."""
    cursor = server.connect('foreign_keys', library=managed).cursor()
    cursor.execute(TABLES.format(parents=PARENTS, children=CHILDREN, action=action, fillfactor=fillfactor))
    if managed:
        cursor.execute(SOFT_DELETE.format('parent', '') + SOFT_DELETE.format('child', ''))
    cursor.execute('VACUUM ANALYZE parent, child')
    return cursor


def milliseconds(server, cursor, statement):
    """Milliseconds of the backend for a statement."""
    started = server.processor_time(cursor.connection)
    cursor.execute(statement)
    return server.processor_time(cursor.connection) - started


def live(cursor):
    """How many parents and children are live."""
    cursor.execute('SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)')
    return cursor.fetchone()


def expect(cursor, parents, children):
    """Sees to it that a way has done what it should."""
    if live(cursor) != (parents, children):
        raise RuntimeError(f'there are {live(cursor)} live parents and children, not {(parents, children)}')


def cascade(server, managed, fillfactor, statement=DELETE):
    """Milliseconds of a DELETE that takes all children along, and the session."""
    cursor = prepare(server, managed, fillfactor)
    elapsed = milliseconds(server, cursor, statement)
    if statement == DELETE:
        expect(cursor, PARENTS, 0)
    return elapsed, cursor


def kept(server, managed):
    """Milliseconds of a DELETE of parents that NO ACTION lets go, since nobody refers to them."""
    cursor = prepare(server, managed, action='')
    elapsed = milliseconds(server, cursor, DELETE_CHILDLESS)
    expect(cursor, PARENTS, CHILDREN)
    cursor.connection.close()
    return elapsed


def has_function(server, name):
    """Does the extension have a function?"""
    cursor = server.connect('foreign_keys').cursor()
    cursor.execute("SELECT 1 FROM pg_proc WHERE proname = %s AND pronamespace = 'orm_ext'::regnamespace", (name,))
    found = cursor.fetchone() is not None
    cursor.connection.close()
    return found


def restore(server, cursor):
    """Milliseconds of bringing back what went last."""
    cursor.execute(DELETION)
    stamp = cursor.fetchone()[0]
    elapsed = milliseconds(server, cursor, f"SELECT * FROM orm_ext.restore_deletion('{stamp.isoformat()}')")
    expect(cursor, 2 * PARENTS, CHILDREN)
    return elapsed


def cascades(server, fillfactor, pages):
    """Cascades and, in the same rounds, bringing it all back; and what any UPDATE of these rows takes."""
    times = {'soft': [], 'gone': [], 'by hand': [], 'back': []}
    restores = has_function(server, 'restore_deletion')
    for number in range(ROUNDS):
        for way in ('soft', 'gone', 'by hand') if number % 2 else ('by hand', 'gone', 'soft'):
            elapsed, cursor = cascade(server, way == 'soft', fillfactor, BY_HAND if way == 'by hand' else DELETE)
            times[way].append(elapsed)
            if way == 'soft' and restores:
                times['back'].append(restore(server, cursor))
            cursor.connection.close()
    what = f'{PARENTS:,} parents, {CHILDREN:,} children, {pages}'
    figures = [report.timed(f'DELETE that cascades: {what}', 'rows gone, ON DELETE CASCADE',
                            times['soft'], times['gone'], 2),
               report.timed(f'DELETE that cascades: {what}', 'UPDATE by hand', times['soft'], times['by hand'], 1.25)]
    if restores:
        figures.append(report.timed(f'bringing back {what}', 'the DELETE', times['back'], times['soft'], 2))
    return figures


def checks(server):
    """Deleting rows that a check of NO ACTION lets go."""
    ours, theirs = [], []
    for number in range(ROUNDS):
        for managed in (True, False) if number % 2 else (False, True):
            (ours if managed else theirs).append(kept(server, managed))
    return [report.timed(f'DELETE of {PARENTS:,} parents, NO ACTION finds none', 'rows gone', ours, theirs)]


def single(server):
    """Counts statements on single rows."""
    cursor = server.connect('foreign_keys').cursor()
    for name, action, options, rows in GROUPS:
        cursor.execute(SINGLE.format(name=name, action=action, rows=rows))
        if options is not None:
            cursor.execute(SOFT_DELETE.format(f'parent_{name}', options) + SOFT_DELETE.format(f'child_{name}', options))
    cursor.execute('VACUUM ANALYZE')
    cursor.connection.close()
    figures = []
    with server.counting() as counter:
        for what, statement, repetitions, others in STATEMENTS:
            counts = {tables: counter.count('foreign_keys', statement.format(tables), True, repetitions,
                                            warm=min(repetitions, 50))
                      for tables in ('soft', *(tables for _, tables, _ in others))}
            figures += [report.counted(f'{what}, foreign keys', against, counts['soft'], counts[tables], at_most)
                        for against, tables, at_most in others]
    return figures


def run(server):
    """Times cascades and what undoes them, and counts statements on single rows."""
    return (cascades(server, FULL, 'full pages') + cascades(server, ROOMY, 'roomy pages') +
            checks(server) + single(server))
