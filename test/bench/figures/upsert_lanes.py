"""Tables of a million rows, alike and side by side, each for one way to upsert rows into it."""

import contextlib
import random
import statistics
import time
from typing import NamedTuple

from .upsert_libpq import Client
from .upsert_rows import COLUMNS, SCHEMA, Existing

LANES = 5       # which shared_buffers have room for

# In the long run, most changes come without an image of the whole page.
IMAGES = {True: 'ALTER SYSTEM RESET full_page_writes', False: 'ALTER SYSTEM SET full_page_writes = off'}

CHECK = f"""
SELECT count(*) FROM item JOIN unnest(%s, %s, %s, %s::float8[], %s) AS input ({', '.join(COLUMNS)}) USING (id)
WHERE (item.name, item.quantity, item.price, item.note) = (input.name, input.quantity, input.price, input.note)
"""


class Spent(NamedTuple):
    """What each row of some batches has cost."""
    backend: float      # microseconds of the server's processor
    client: float       # of the client's
    elapsed: float      # and until the last answer was there
    wal: float          # bytes

    @property
    def both(self):
        """Microseconds of both processors."""
        return self.backend + self.client


def median(spent, what='backend'):
    """The median of what several turns have cost."""
    return statistics.median(getattr(turn, what) for turn in spent)


class Lane:
    """A way to upsert rows, with a session and a table of its own."""

    def __init__(self, server, database, number, way):
        self.server, self.way = server, way
        self.connection = server.connect(database, way.ours)
        self.connection.cursor().execute(f'SET search_path = lane_{number}, public')
        self.client = Client(self.connection)
        self.type_oid = int(self.client.execute("SELECT 'item'::regtype::oid"))
        self.client.execute("SELECT public.pg_prewarm('item'), public.pg_prewarm('item_pkey')")
        if way.setup:
            self.client.execute(way.setup)

    def send(self, batches):
        """Upserts batches; what each of their rows has cost."""
        count = sum(map(len, batches))
        encoded = [self.way.encode(batch, self) for batch in batches]
        position = self.client.execute('SELECT pg_current_wal_insert_lsn()').decode()
        started = time.perf_counter(), time.process_time(), self.server.processor_time(self.connection)
        for batch in encoded:
            self.way.send(self, batch)
        elapsed, client = time.perf_counter() - started[0], time.process_time() - started[1]
        backend = self.server.processor_time(self.connection) - started[2]
        wal = int(self.client.execute(f"SELECT pg_current_wal_insert_lsn() - '{position}'"))
        return Spent(1000 * backend / count, 1e6 * client / count, 1e6 * elapsed / count, wal / count)

    def check(self, rows):
        """Sees to it that all rows, which have been sent, are in the table as they were sent."""
        cursor = self.connection.cursor()
        cursor.execute(CHECK, [list(values) for values in zip(*rows)])
        if cursor.fetchone() != (len(rows),):
            raise RuntimeError(f'{self.way.name} has not written all rows of its input')


class Tables:
    """A database of such tables, which is copied for each comparison."""

    def __init__(self, server, database):
        self.server, self.template, self.copy = server, database, f'{database}_copy'
        self.cursor = server.connect('postgres').cursor()
        cursor = server.connect(database).cursor()
        cursor.execute('CREATE EXTENSION pg_prewarm')
        for number in range(LANES):
            cursor.execute(f'CREATE SCHEMA lane_{number}; SET search_path = lane_{number}')
            cursor.execute(SCHEMA)
            if number == 0:
                cursor.copy_expert('COPY item FROM STDIN', Existing())
            else:
                cursor.execute('INSERT INTO item SELECT * FROM lane_0.item')
            cursor.execute('VACUUM (FREEZE, ANALYZE) item')
        cursor.connection.close()
        self.log_images(False)

    def close(self):
        """The settings are again as they were."""
        self.log_images(True)
        self.cursor.connection.close()

    def log_images(self, wanted):
        """Whether pages that are written for the first time since a checkpoint are logged as a whole."""
        self.cursor.execute(IMAGES[wanted])
        self.cursor.execute('SELECT pg_reload_conf()')

    @contextlib.contextmanager
    def lanes(self, ways):
        """Fresh tables for some ways."""
        self.cursor.execute(f'CREATE DATABASE {self.copy} TEMPLATE {self.template} STRATEGY file_copy')
        lanes = []
        try:
            for number, way in enumerate(ways):
                lanes.append(Lane(self.server, self.copy, number, way))
            yield lanes
        finally:
            for lane in lanes:
                lane.connection.close()
            self.cursor.execute(f'DROP DATABASE {self.copy} WITH (FORCE)')


def take_turns(lanes, batches, warm, in_a_row):
    """What each turn of each lane has cost; all have the same input, and each round of turns has another order.

    The first batches only warm up the sessions.
    """
    order, spent = random.Random(1), [[] for _ in lanes]
    for lane in lanes if warm else ():
        lane.send(batches[:warm])
    for start in range(warm, len(batches), in_a_row):
        for number in order.sample(range(len(lanes)), len(lanes)):
            spent[number].append(lanes[number].send(batches[start:start + in_a_row]))
    for lane in lanes:
        lane.check([row for batch in batches for row in batch])
    return spent
