"""Statements on tables under soft delete, and the same with the condition written by hand."""

from . import report

SCHEMA = """
CREATE TABLE hand_post (id bigint PRIMARY KEY, tenant int NOT NULL, title text NOT NULL, deleted_at timestamptz);
INSERT INTO hand_post SELECT i, i % 100, 'title of post ' || i, CASE WHEN i % 10 = 0 THEN now() END
    FROM generate_series(1, 5000) AS i;
CREATE TABLE hand_reply (id bigint PRIMARY KEY, post_id bigint NOT NULL, body text NOT NULL, deleted_at timestamptz);
INSERT INTO hand_reply SELECT i, i, 'body of reply ' || i, CASE WHEN i % 10 = 0 THEN now() END
    FROM generate_series(1, 5000) AS i;
CREATE INDEX ON hand_reply (post_id) WHERE deleted_at IS NULL;
CREATE TABLE post (LIKE hand_post INCLUDING ALL);
INSERT INTO post SELECT * FROM hand_post;
CREATE TABLE reply (LIKE hand_reply INCLUDING ALL);
INSERT INTO reply SELECT * FROM hand_reply;
CREATE TRIGGER soft_delete BEFORE DELETE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
CREATE TRIGGER soft_delete BEFORE DELETE ON reply FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
"""

# Each as a pair: ours, and the other.
LOOK_UP = ('SELECT * FROM post WHERE id = $n', 'SELECT * FROM hand_post WHERE id = $n AND deleted_at IS NULL')
PREPARE = """SET plan_cache_mode = force_generic_plan;
PREPARE ours (bigint) AS SELECT * FROM post WHERE id = $1;
PREPARE theirs (bigint) AS SELECT * FROM hand_post WHERE id = $1 AND deleted_at IS NULL"""
EXECUTE = ('EXECUTE ours ($n)', 'EXECUTE theirs ($n)')
JOIN = ('SELECT * FROM post p JOIN reply r ON r.post_id = p.id WHERE p.id = $n',
        'SELECT * FROM hand_post p JOIN hand_reply r ON r.post_id = p.id'
        ' WHERE p.id = $n AND p.deleted_at IS NULL AND r.deleted_at IS NULL')
COUNT = ('SELECT count(*) FROM post', 'SELECT count(*) FROM hand_post WHERE deleted_at IS NULL')
UPDATE = ("UPDATE post SET title = 'other' WHERE id = $n",
          "UPDATE hand_post SET title = 'other' WHERE id = $n AND deleted_at IS NULL")
DELETE = ('DELETE FROM post WHERE id = $n',
          'UPDATE hand_post SET deleted_at = now() WHERE id = $n AND deleted_at IS NULL')


def run(server):
    """Counts each statement on both tables; the other side has no library."""
    connection = server.connect('lookup')
    connection.cursor().execute(SCHEMA)
    connection.cursor().execute('VACUUM ANALYZE')
    connection.close()
    figures = []

    def compare(counter, name, ours, theirs, at_most=None, **options):
        counts = [counter.count('lookup', ours, True, **options), counter.count('lookup', theirs, False, **options)]
        figures.append(report.counted(f'{name}, soft delete', 'condition by hand', *counts, at_most))

    with server.counting() as counter:
        compare(counter, 'look-up by primary key', *LOOK_UP, 1.03)
        compare(counter, 'look-up, prepared', *EXECUTE, 1.03, setup=PREPARE)
        compare(counter, 'join', *JOIN, 1.03)
        compare(counter, 'count(*) of 4,500 live rows', *COUNT, 1.03, repetitions=30)
        compare(counter, 'UPDATE of one row', *UPDATE, 1.03)
        compare(counter, 'DELETE of one row', *DELETE)
    with server.counting('planner') as counter:
        compare(counter, 'look-up, planning alone', *LOOK_UP)
        compare(counter, 'join, planning alone', *JOIN)
    return figures
