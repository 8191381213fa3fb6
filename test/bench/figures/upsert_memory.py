"""What a backend needs of memory for an input that is far larger than work_mem."""

import os
import threading

from . import report
from .upsert_rows import EXISTING, SCHEMA, Existing, copy_text, row

ROWS = 5000000 if os.environ.get('FULL') else 2000000
LIMIT = 100                 # megabytes
EVERY = 0.02                # seconds between looks

# The rows of the input, and those that have been there and are not in it.
CHECK = f"""
SELECT count(*) FILTER (WHERE id < {ROWS} AND quantity = id % 1000 + 1), count(*) FILTER (WHERE id >= {ROWS}) FROM item
"""

UPSERT = "COPY item FROM STDIN WITH (on_conflict 'update')"


class Input:
    """A file of rows whose keys come in an order of no use; those that are even, up to a limit, exist."""

    def __init__(self):
        self.position = 0

    def read(self, _):
        """Some thousand rows more."""
        places = range(self.position, min(self.position + 5000, ROWS))
        self.position += len(places)
        return copy_text([row(place * 7919 % ROWS, 1) for place in places])


class Watch(threading.Thread):
    """Looks at what memory a backend has for itself, again and again."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.done = pid, 0, threading.Event()

    def values(self):
        """Kilobytes by name."""
        with open(f'/proc/{self.pid}/status', encoding='ascii') as file:
            return {line.split(':')[0]: int(line.split()[1]) for line in file if line.startswith(('VmHWM', 'Rss'))}

    def run(self):
        while not self.done.wait(EVERY):
            self.most = max(self.most, self.values()['RssAnon'])

    def stop(self):
        """The most that there has been, in megabytes; the system's own mark without what is shared counts, too."""
        self.done.set()
        self.join()
        values = self.values()
        return max(self.most, values['VmHWM'] - values['RssShmem'] - values['RssFile']) / 1024


def run(server):
    """Upserts many rows through COPY."""
    cursor = server.connect('upsert_memory', library=True).cursor()
    cursor.execute(SCHEMA)
    cursor.copy_expert('COPY item FROM STDIN', Existing())
    cursor.execute('ANALYZE item')
    cursor.connection.close()

    connection = server.connect('upsert_memory', library=True)
    cursor = connection.cursor()
    cursor.execute("SET work_mem = '4MB'")
    watch = Watch(connection.info.backend_pid)
    watch.start()
    cursor.copy_expert(UPSERT, Input())
    most = watch.stop()
    cursor.execute(CHECK)
    if cursor.fetchone() != (ROWS, max(0, EXISTING - ROWS // 2)):
        raise RuntimeError('COPY has not written all rows of its input')
    connection.close()
    return [report.measured(f'memory for COPY of {ROWS:,} rows, work_mem = 4MB', 'the limit', 'MB', most, LIMIT, 1)]
