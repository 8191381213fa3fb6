"""Following the changes of a table by their ids."""

from . import report

ROWS = 50000
PAGE = 100

SCHEMA = """
CREATE TABLE hand_item (id bigint PRIMARY KEY, title text NOT NULL, change_id bigint NOT NULL);
INSERT INTO hand_item SELECT i, 'title of item ' || i, i % 700 FROM generate_series(1, {rows}) AS i;
CREATE INDEX ON hand_item (change_id, id);
CREATE TABLE item (LIKE hand_item INCLUDING ALL);
INSERT INTO item SELECT * FROM hand_item;
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON item FOR EACH ROW
    EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
CREATE FUNCTION set_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.change_id := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON hand_item FOR EACH ROW EXECUTE FUNCTION set_change();
"""

# Each as a pair: ours, and the other.
MARK = ('SELECT orm_ext.min_active_change_id()', 'SELECT pg_snapshot_xmin(pg_current_snapshot())')
POLL = tuple(f'SELECT id, change_id FROM {table} WHERE change_id >= $n AND change_id < {mark} '
             f'ORDER BY change_id, id LIMIT {PAGE}'
             for table, mark in (('item', 'orm_ext.min_active_change_id()'),
                                 ('hand_item', 'pg_snapshot_xmin(pg_current_snapshot())::text::bigint')))
UPDATE = ("UPDATE item SET title = 'title $n' WHERE id = $n", "UPDATE hand_item SET title = 'title $n' WHERE id = $n")


def run(server):
    """Counts polls, and updates of rows whose changes are followed."""
    cursor = server.connect('changes').cursor()
    cursor.execute(SCHEMA.format(rows=ROWS))
    cursor.execute('VACUUM ANALYZE')
    cursor.connection.close()
    figures = []
    with server.counting() as counter:
        for name, against, pair in (('oldest active change', 'pg_snapshot_xmin()', MARK),
                                    (f'poll for {PAGE} changes', 'pg_snapshot_xmin()', POLL),
                                    ('UPDATE of a row with a change id', 'PL/pgSQL trigger', UPDATE)):
            ours, theirs = (counter.count('changes', statement, library)
                            for statement, library in zip(pair, (True, False)))
            figures.append(report.counted(name, against, ours, theirs))
    return figures
