"""Counting the instructions that a backend spends on a statement."""

import os
import re


class Counter:
    """Counts in sessions of a server that runs under callgrind.

    A call of the function MARK has callgrind write down what it has counted since the last one.  So
    the counts of a session's start and of its first statements, which fill caches, are left out.
    The system's own work is not counted.
    """

    MARK = 'pg_sleep'

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder

    def count(self, database, statement, library, repetitions=300, warm=50, setup=None):
        """Instructions for one execution; "$n" in the statement stands for the number of the execution."""
        connection = self.server.connect(database, library)
        cursor = connection.cursor()
        if setup:
            cursor.execute(setup)
        for number in range(1, warm + 1):
            cursor.execute(statement.replace('$n', str(number)))
        self._mark(cursor)
        self._mark(cursor)
        for number in range(warm + 1, warm + repetitions + 1):
            cursor.execute(statement.replace('$n', str(number)))
        self._mark(cursor)
        pid = connection.info.backend_pid
        connection.close()
        return (self._part(pid, 3) - self._part(pid, 2)) / repetitions

    def _mark(self, cursor):
        cursor.execute(f'SELECT {self.MARK}(0)')

    def _part(self, pid, part):
        """What was counted before the mark of this number."""
        with open(os.path.join(self.folder, f'{pid}.{part}'), encoding='utf-8') as file:
            return int(re.search(r'^summary: (\d+)', file.read(), re.MULTILINE).group(1))
