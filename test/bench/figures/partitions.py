"""Planning a query over many partitions."""

from . import report

PARTITIONS = 1000

SCHEMA = """
CREATE TABLE {0} (id bigint NOT NULL, note text, deleted_at timestamptz) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE {0}_%s PARTITION OF {0} FOR VALUES FROM (%s) TO (%s)', i, i * 10, (i + 1) * 10)
FROM generate_series(1, {1}) AS i
"""

TRIGGER = """
CREATE TRIGGER soft_delete BEFORE DELETE ON soft FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at')
"""

# EXPLAIN, since nothing but planning is counted.
OURS = "EXPLAIN SELECT * FROM soft WHERE note = 'n'"
BY_HAND = "EXPLAIN SELECT * FROM plain WHERE note = 'n' AND deleted_at IS NULL"
NO_POLICY = "EXPLAIN SELECT * FROM plain WHERE note = 'n'"


def build(server):
    """One partitioned table under soft delete, and one without."""
    cursor = server.connect('partitions').cursor()
    for table in ('soft', 'plain'):
        cursor.execute(SCHEMA.format(table, PARTITIONS))
        cursor.execute(';'.join(statement for (statement,) in cursor.fetchall()))
    cursor.execute(TRIGGER)
    cursor.execute('VACUUM ANALYZE')
    cursor.connection.close()


def run(server):
    """Counts the planning of queries that prune nothing, with warm caches."""
    build(server)
    with server.counting('planner') as counter:
        ours, by_hand, loaded, not_loaded = (
            counter.count('partitions', statement, library, repetitions=3, warm=2)
            for statement, library in ((OURS, True), (BY_HAND, False), (NO_POLICY, True), (NO_POLICY, False)))
    what = f'planning over {PARTITIONS:,} partitions'
    return [report.counted(f'{what}, soft delete', 'condition by hand', ours, by_hand, 1.03),
            report.counted(f'{what}, no policy', 'library not loaded', loaded, not_loaded, 1.03)]
