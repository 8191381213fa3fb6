"""Ways to keep the version and the time of the last change of each row, on tables of one shape."""

import random
from typing import NamedTuple

SOURCE = """
CREATE TABLE source AS SELECT i::bigint AS id, (i % 1000)::int AS tenant, 'title of row ' || i AS title,
    repeat('x', 40 + i % 40) AS body, (i / 100.0)::numeric(12, 2) AS price, i % 3 = 0 AS active,
    (i % 50)::int AS quantity, now() AS created_at, now() AS updated_at, 1::bigint AS version_id
FROM generate_series(1, {}) AS i;
"""

# The columns that ORMs' mix-ins add stand last.
TABLE = """
CREATE TABLE {table} (id bigint PRIMARY KEY, tenant int NOT NULL, title text NOT NULL, body text, price numeric(12, 2),
    active boolean NOT NULL, quantity int NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
    version_id bigint NOT NULL);
INSERT INTO {table} SELECT * FROM source LIMIT {rows};
"""

BOTH = ('version_id', 'updated_at')

NOOP = """
CREATE OR REPLACE FUNCTION noop_trigger() RETURNS trigger LANGUAGE c AS '{noop}', 'noop_trigger';
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION noop_trigger();
"""

STAMP = """
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
    EXECUTE FUNCTION orm_ext.stamp('version=version_id', 'updated=updated_at');
"""

TWO = """
CREATE TRIGGER stamps_1 BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version_id');
CREATE TRIGGER stamps_2 BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
    EXECUTE FUNCTION orm_ext.timestamps('', 'updated_at');
"""

MODDATETIME = """
CREATE EXTENSION IF NOT EXISTS moddatetime;
CREATE TRIGGER stamps BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION moddatetime('updated_at');
"""

PLPGSQL = """
CREATE OR REPLACE FUNCTION stamp_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    NEW.version_id := OLD.version_id + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER stamps BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION stamp_row();
"""

# What the trigger versioning() of temporal_tables does, without its checks.
HISTORY = """
CREATE TABLE {table}_history (LIKE {table}, valid tstzrange NOT NULL);
CREATE FUNCTION keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {table}_history SELECT OLD.*, tstzrange(OLD.updated_at, now());
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER stamps BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION keep_{table}();
"""


class Way(NamedTuple):
    """One of the ways."""
    name: str
    triggers: str = ''
    assignments: str = ''       # added to the SET list
    moves: tuple = BOTH         # the columns that change with each UPDATE
    preloaded: bool = False

    def create(self, server, cursor, table, rows, shape=TABLE):
        """Makes a table that is kept in this way."""
        cursor.execute(shape.format(table=table, rows=rows))
        if self.triggers:
            cursor.execute(self.triggers.format(table=table, noop=server.compile('noop_trigger.c')))
        cursor.execute(f'VACUUM ANALYZE {table}')

    def check(self, cursor, table):
        """Sees to it that all rows, which have been updated, have the stamps that this way sets."""
        versions, times = ('<>' if column in self.moves else '=' for column in BOTH)
        cursor.execute(f"""SELECT count(*) FROM {table}
            WHERE NOT (version_id {versions} 1 AND updated_at {times} created_at)""")
        if cursor.fetchone() != (0,):
            raise RuntimeError(f'{self.name} has left rows of {table} with other stamps than it should')


WAYS = {
    'none': Way('no trigger', moves=()),
    'noop': Way('C trigger that does nothing', NOOP, moves=()),
    'stamp': Way('stamp()', STAMP, preloaded=True),
    'moddatetime': Way('moddatetime, one column', MODDATETIME, moves=('updated_at',)),
    'client': Way('assigned by the client', assignments=', version_id = version_id + 1, updated_at = now()'),
    'plpgsql': Way('PL/pgSQL trigger', PLPGSQL),
    'two': Way('version() and timestamps()', TWO, preloaded=True),
    'history': Way('history kept by PL/pgSQL', HISTORY, moves=('updated_at',)),
}


def alternate(rounds, measure, ways=tuple(WAYS)):
    """What measure() says of each way in each round; in any order, since what ran before leaves the caches its way."""
    order, values = random.Random(1), {way: [] for way in ways}
    for number in range(rounds):
        for way in order.sample(ways, len(ways)):
            values[way].append(measure(way, number))
    return values
