"""What names cost when a table, an index or something else is created."""

import math
import os
from typing import NamedTuple

from . import report
from .page import alternate

# What the new tables refer to, and tables that are changed.
SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY);
CREATE TABLE region (id int PRIMARY KEY);
CREATE TABLE product (id bigint PRIMARY KEY);
CREATE TABLE item (id bigint PRIMARY KEY, product_id bigint REFERENCES product, code text UNIQUE,
    price numeric CHECK (price > 0), remark text);
CREATE TABLE indexed (id bigint PRIMARY KEY, code int, place int);
INSERT INTO indexed SELECT i, i, i FROM generate_series(1, 100) AS i;
CREATE SCHEMA made;
"""

# The names that PostgreSQL and the convention give are the same here.
TEN = """
CREATE TABLE made.order_$n (id bigint {}PRIMARY KEY, number bigint {}UNIQUE, code int {}UNIQUE,
    external_id uuid {}UNIQUE, customer_id bigint {}REFERENCES public.customer,
    region_id int {}REFERENCES public.region, product_id bigint {}REFERENCES public.product,
    price numeric {}CHECK (price > 0), quantity int {}CHECK (quantity > 0),
    place int4range, {}EXCLUDE USING gist (place WITH &&))
"""
SUFFIXES = ('pkey', 'number_key', 'code_key', 'external_id_key', 'customer_id_fkey', 'region_id_fkey',
            'product_id_fkey', 'price_check', 'quantity_check', 'place_excl')

UNNAMED = TEN.format(*[''] * 10)
CONFORMING = TEN.format(*[f'CONSTRAINT order_$n_{suffix} ' for suffix in SUFFIXES])
OTHER = TEN.format(*[f'CONSTRAINT {suffix}_of_order_$n ' for suffix in SUFFIXES])

OFF = 'SET orm_ext.naming_fill = off; SET orm_ext.naming_check = off'

# Names that 200 others have already, so that digits have to be found.
TAKEN = 'DO $$BEGIN FOR i IN 1..200 LOOP CREATE INDEX ON indexed (place); END LOOP; END$$'


class Case(NamedTuple):
    """Something that is done with the library and without."""
    name: str
    statement: str
    at_most: float = 1.05
    repetitions: int = 10
    setup: str = ''             # in every session, of both sides
    prepare: str = ''           # once, in both databases, without the library
    templates: str = ''         # likewise; nothing to a session without the library
    timed: bool = True          # but for those that are over before the clock has noticed
    altering: bool = False      # the event trigger loads the library, so the other side has it switched off

    @property
    def against(self):
        """What the other side is."""
        return 'naming off' if self.altering else 'library not loaded'

    def session(self, side):
        """Whether a session of this side has the library, and what it does first."""
        return side == 'with' or self.altering, OFF if self.altering and side == 'without' else self.setup


CASES = [
    Case('CREATE TABLE, ten unnamed constraints', UNNAMED),
    Case('the same, templates stored', UNNAMED, templates="SELECT orm_ext.use_naming('all_columns')"),
    Case('the same, naming_fill = off', UNNAMED, setup='SET orm_ext.naming_fill = off'),
    Case('the same, naming_fill and naming_check = off', UNNAMED, setup=OFF),
    Case('CREATE TABLE, ten names that conform', CONFORMING),
    Case('CREATE TABLE, ten names that do not conform', OTHER, at_most=None),
    Case('CREATE TABLE without constraints', 'CREATE TABLE made.plain_$n (id bigint, body text)'),
    Case('CREATE INDEX, unnamed', 'CREATE INDEX ON indexed (code); DROP INDEX indexed_code_idx', repetitions=30,
         timed=False),
    Case('CREATE INDEX, a name that conforms',
         'CREATE INDEX indexed_code_idx ON indexed (code); DROP INDEX indexed_code_idx', repetitions=30,
         timed=False),
    Case('CREATE INDEX, unnamed, 200 of the name', 'BEGIN; CREATE INDEX ON indexed (place); ROLLBACK', at_most=None,
         prepare=TAKEN),
    Case('ADD COLUMN without constraints', 'BEGIN; ALTER TABLE item ADD COLUMN more int; ROLLBACK', repetitions=30,
         timed=False, altering=True),
    Case('ADD CONSTRAINT, a CHECK, unnamed',
         'ALTER TABLE item ADD CHECK (remark > $$$n$$); ALTER TABLE item DROP CONSTRAINT item_remark_check',
         repetitions=30, timed=False, altering=True),
    Case('RENAME COLUMN, in no constraint',
         'ALTER TABLE item RENAME remark TO other; ALTER TABLE item RENAME other TO remark', at_most=None,
         repetitions=30, timed=False, altering=True),
    Case('ALTER INDEX RENAME, a name that conforms',
         'ALTER INDEX item_code_key RENAME TO item_code_key1; ALTER INDEX item_code_key1 RENAME TO item_code_key',
         at_most=None, repetitions=30, timed=False, altering=True),
    Case('COMMENT ON TABLE', "COMMENT ON TABLE item IS 'comment $n'", repetitions=200, timed=False),
    Case('BEGIN and COMMIT', 'BEGIN; COMMIT', 1.02, repetitions=300, timed=False),
]

ROUNDS = 31
SIDES = ('with', 'without')
PROCESSOR = {min(os.sched_getaffinity(0))}      # one for both, since no two are equally fast


def database(number, which):
    """One of the two databases of a case, since each case leaves the catalogs another way."""
    return f'naming_{number}_{which}'


def build(server):
    """Two databases for each case."""
    for number, case in enumerate(CASES):
        for which in range(2):
            server.create_database(database(number, which))
            cursor = server.connect(database(number, which)).cursor()
            cursor.execute(SCHEMA + case.prepare)
            if case.templates:
                cursor.execute(case.templates)
            cursor.execute('VACUUM ANALYZE')
            cursor.connection.close()


def times_in(server, case, databases):
    """Milliseconds of the backend for one execution, by side, each of which has a database."""
    sessions, done = {}, dict.fromkeys(SIDES, 0)
    for side in SIDES:
        library, setup = case.session(side)
        sessions[side] = server.connect(databases[side], library)
        os.sched_setaffinity(sessions[side].info.backend_pid, PROCESSOR)
        if setup:
            sessions[side].cursor().execute(setup)

    def measure(side):
        cursor = sessions[side].cursor()
        # In one go, since waking up takes either side a time that only the processor knows.
        statements = [case.statement.replace('$n', str(done[side] + n)) for n in range(case.repetitions)]
        done[side] += case.repetitions
        started = server.processor_time(sessions[side])
        cursor.execute(';'.join(statements))
        spent = server.processor_time(sessions[side]) - started
        cursor.execute('SET client_min_messages = error; DROP SCHEMA made CASCADE; CREATE SCHEMA made;'
                       ' RESET client_min_messages')
        return spent / case.repetitions

    values = alternate(ROUNDS, SIDES, measure)
    for session in sessions.values():
        session.close()
    return values


def times(server, number, case):
    """The same with the databases exchanged in between: making a file is not equally fast in all folders."""
    turns = [times_in(server, case, {'with': database(number, which), 'without': database(number, 1 - which)})
             for which in range(2)]
    return {side: [math.sqrt(one * other) for one, other in zip(*(turn[side] for turn in turns))] for side in SIDES}


def first(server):
    """Milliseconds of the backend for its start and its first table, by side."""
    done = dict.fromkeys(SIDES, 0)

    def measure(side):
        session = server.connect(database(0, 0), side == 'with')
        done[side] += 1
        session.cursor().execute(UNNAMED.replace('$n', f'first_{done[side]}'))
        spent = server.processor_time(session)
        session.cursor().execute(f'DROP TABLE made.order_first_{done[side]}')
        session.close()
        return spent

    return alternate(ROUNDS, SIDES, measure)


def check(server):
    """Sees to it that the sides have made objects of the same names, which they do with these tables."""
    for number, case in enumerate(CASES):
        names = []
        for which in range(2):
            cursor = server.connect(database(number, which)).cursor()
            cursor.execute("""SELECT conname FROM pg_constraint WHERE conrelid >= 16384
                UNION SELECT relname FROM pg_class
                WHERE relnamespace IN ('made'::regnamespace, 'public'::regnamespace)""")
            names.append(set(cursor.fetchall()))
            cursor.connection.close()
        if names[0] != names[1]:
            raise RuntimeError(f'{case.name}: the sides differ in {sorted(names[0] ^ names[1])[:5]}')


def run(server):
    """Times the cases, and counts them."""
    build(server)
    figures = []
    timed = {case: times(server, number, case) for number, case in enumerate(CASES) if case.timed}
    starts = first(server)
    with server.counting() as counter:
        for number, case in enumerate(CASES):
            counts = [counter.count(database(number, which), case.statement, library, case.repetitions, 10, setup)
                      for which, side in enumerate(SIDES) for library, setup in [case.session(side)]]
            if case.timed:
                figures.append(report.timed(case.name, case.against, *timed[case].values(), case.at_most))
            figures.append(report.counted(case.name, case.against, *counts, case.at_most))
    check(server)
    figures.append(report.timed("a session's start and its first table of ten", 'library not loaded', *starts.values()))
    return figures
