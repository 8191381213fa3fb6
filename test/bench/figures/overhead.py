"""What the library costs statements on tables without a policy."""

from . import report

SCHEMA = """
CREATE TABLE item (id bigint PRIMARY KEY, tenant int NOT NULL, title text NOT NULL, price numeric);
INSERT INTO item SELECT i, i % 100, 'title of item ' || i, i / 100.0 FROM generate_series(1, 10000) AS i;
CREATE TABLE tag (item_id bigint, name text, PRIMARY KEY (item_id, name));
INSERT INTO tag SELECT i, name FROM generate_series(1, 10000) AS i, (VALUES ('a'), ('b')) AS names (name);
CREATE TABLE written_with (LIKE item INCLUDING ALL);
CREATE TABLE written_without (LIKE item INCLUDING ALL);
"""

# As other extensions' triggers are: not ours.
TRIGGER = """
CREATE FUNCTION noop_trigger() RETURNS trigger LANGUAGE c AS '{}', 'noop_trigger';
CREATE TABLE triggered_with (LIKE item INCLUDING ALL);
CREATE TABLE triggered_without (LIKE item INCLUDING ALL);
INSERT INTO triggered_with SELECT * FROM item;
INSERT INTO triggered_without SELECT * FROM item;
CREATE TRIGGER noop BEFORE UPDATE ON triggered_with FOR EACH ROW EXECUTE FUNCTION noop_trigger();
CREATE TRIGGER noop BEFORE UPDATE ON triggered_without FOR EACH ROW EXECUTE FUNCTION noop_trigger();
"""

# (name, statement, target); TARGET is a table that each side has for itself.
STATEMENTS = [
    ('look-up by primary key', 'SELECT * FROM item WHERE id = $n', 1.01),
    ('join of two tables', 'SELECT * FROM item i JOIN tag t ON t.item_id = i.id WHERE i.id = $n', None),
    ('look-up with EXISTS',
     'SELECT * FROM item i WHERE id = $n AND EXISTS (SELECT FROM tag t WHERE t.item_id = i.id)', None),
    ('function in FROM', 'SELECT * FROM generate_series(1, 3)', None),
    ('INSERT of one row', "INSERT INTO TARGET VALUES ($n, 1, 'title', 1)", 1.01),
    ('UPDATE of one row', "UPDATE TARGET SET title = 'other' WHERE id = $n", 1.01),
    ('DELETE of one row', 'DELETE FROM TARGET WHERE id = $n', 1.01),
]

# The same, on tables that have rows and a trigger of somebody else.
PREPARE = "PREPARE change (bigint) AS UPDATE triggered_{} SET title = 'other' WHERE id = $1"
TRIGGERED = [
    ('UPDATE of one row', "UPDATE triggered_{} SET title = 'other' WHERE id = $n", 300),
    ('UPDATE of one row, prepared', 'EXECUTE change ($n)', 300),
    ('UPDATE of 10,000 rows', "UPDATE triggered_{} SET title = 'other $n'", 1),
]


def run(server):
    """Counts each statement with the library and without."""
    connection = server.connect('overhead')
    connection.cursor().execute(SCHEMA + TRIGGER.format(server.compile('noop_trigger.c')))
    connection.cursor().execute('VACUUM ANALYZE')
    connection.close()
    figures = []
    with server.counting() as counter:
        for name, statement, at_most in STATEMENTS:
            ours = counter.count('overhead', statement.replace('TARGET', 'written_with'), True)
            theirs = counter.count('overhead', statement.replace('TARGET', 'written_without'), False)
            figures.append(report.counted(f'{name}, no policy', 'library not loaded', ours, theirs, at_most))
        for name, statement, repetitions in TRIGGERED:
            ours, theirs = (counter.count('overhead', statement.format(side), library, repetitions,
                                          warm=min(repetitions, 50), setup=PREPARE.format(side))
                            for side, library in (('with', True), ('without', False)))
            figures.append(report.counted(f"{name}, another's trigger", 'library not loaded', ours, theirs, 1.01))
    return figures
