"""Touching the parents of changed rows: orm_ext, once for each parent and transaction, and other ways."""

from . import report

PARENTS = 1000
CHILDREN = 1000         # of the transactions that add many

TABLES = """
CREATE TABLE parent_{way} (id int PRIMARY KEY, title text NOT NULL, updated_at timestamptz NOT NULL);
INSERT INTO parent_{way} SELECT i, 'title of parent ' || i, 'epoch' FROM generate_series(1, {parents}) AS i;
CREATE TABLE child_{way} (parent_id int NOT NULL REFERENCES parent_{way}, body text);
"""

TRIGGERS = {
    'none': '',
    'orm_ext': """
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON child_{way} FOR EACH ROW
    EXECUTE FUNCTION orm_ext.touch_parent('parent_id', 'updated_at');
""",
    'by hand': '',
    'PL/pgSQL trigger': """
CREATE FUNCTION touch_{way}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parent_{way} SET updated_at = now() WHERE id = NEW.parent_id;
    RETURN NULL;
END $$;
CREATE TRIGGER touch AFTER INSERT ON child_{way} FOR EACH ROW EXECUTE FUNCTION touch_{way}();
""",
}

# (name, number of executions that are counted, what is inserted, parents that the hand-written UPDATE names)
TRANSACTIONS = [
    ('1 child', 200, "VALUES ($n, 'body')", 'id = $n'),
    (f'{CHILDREN:,} children of 1 parent', 2, f"SELECT $n, 'body' FROM generate_series(1, {CHILDREN})", 'id = $n'),
    (f'{CHILDREN:,} children of {PARENTS:,} parents', 2, f"SELECT i, 'body' FROM generate_series(1, {PARENTS}) AS i",
     f'id BETWEEN 1 AND {PARENTS}'),
]


def table(way):
    """The end of the names of a way's tables."""
    return way.lower().replace(' ', '_').replace('/', '_')


def build(server):
    """Two tables for each way."""
    cursor = server.connect('touch').cursor()
    for way, trigger in TRIGGERS.items():
        cursor.execute((TABLES + trigger).format(way=table(way), parents=PARENTS))
    cursor.execute('VACUUM ANALYZE')
    cursor.connection.close()


def count(counter, way, repetitions, children, condition):
    """Instructions of a transaction that adds children."""
    statement = f'INSERT INTO child_{table(way)} {children}'
    if way == 'by hand':
        statement += f'; UPDATE parent_{table(way)} SET updated_at = now() WHERE {condition}'
    return counter.count('touch', statement, way == 'orm_ext', repetitions, warm=min(repetitions, 50))


def check(server):
    """Sees to it that every parent has been touched, but for those without a way to do it."""
    cursor = server.connect('touch').cursor()
    for way in TRIGGERS:
        cursor.execute(f"SELECT count(*) FROM parent_{table(way)} WHERE updated_at > 'epoch'")
        if cursor.fetchone() != (0 if way == 'none' else PARENTS,):
            raise RuntimeError(f'{way} has touched other parents than it should')
    cursor.connection.close()


def run(server):
    """Counts each transaction done in each way."""
    build(server)
    figures = []
    with server.counting() as counter:
        for name, *transaction in TRANSACTIONS:
            counts = {way: count(counter, way, *transaction) for way in TRIGGERS}
            what = f'touching parents, {name}'
            figures += [report.counted(what, against, counts['orm_ext'], counts[way])
                        for way, against in (('none', 'not touched'), ('by hand', 'UPDATE by hand'),
                                             ('PL/pgSQL trigger', 'PL/pgSQL trigger'))]
    check(server)
    return figures
