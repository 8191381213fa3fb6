"""Asks both sides the same question and compares the answers."""

from collections import Counter, namedtuple
import io
import time

import psycopg2
from psycopg2 import extensions

TIMEOUT = '57014'
LOST = 'connection lost'

# Everything is compared as the server prints it.
TEXT_OIDS = (16, 17, 20, 21, 23, 25, 26, 114, 700, 701, 1000, 1007, 1009, 1016, 1043, 1082, 1114, 1115, 1182,
             1184, 1185, 1231, 1700, 2205, 2249, 2287, 3802, 3807)


class Answer(namedtuple('Answer', 'tag columns rows sqlstate message')):
    """What a client gets to see of one statement."""

    def describe(self):
        """The first lines of the answer."""
        if self.sqlstate:
            return f'ERROR {self.sqlstate}: {self.message}'
        lines = [str(self.tag)]
        if self.columns is not None:
            lines.append(f'{len(self.rows)} rows of ({", ".join(self.columns)})')
        return ', '.join(lines)


def patient_connect(dsn, attempts=40):
    """A connection; waits while the server recovers from a crash that another session caused."""
    for _ in range(attempts - 1):
        try:
            return psycopg2.connect(dsn)
        except psycopg2.OperationalError:
            time.sleep(0.5)
    return psycopg2.connect(dsn)


def connect(dsn, schema):
    """A session whose search_path is one of the schemas."""
    connection = patient_connect(dsn)
    connection.autocommit = True
    extensions.register_type(extensions.new_type(TEXT_OIDS, 'AS_PRINTED', lambda value, cursor: value), connection)
    cursor = connection.cursor()
    cursor.execute(f"SET search_path = {schema}; SET TimeZone = 'UTC'; SET client_min_messages = error;"
                   f" SET statement_timeout = '15s'; SET lock_timeout = '10s'; SET max_parallel_workers_per_gather = 2;"
                   # Planner settings that are off cost so much on paper that everything would be compiled.
                   ' SET jit = off')
    return connection


def ask(connection, sql, copy=False):
    """Runs one statement."""
    cursor = connection.cursor()
    try:
        if copy:
            output = io.StringIO()
            cursor.copy_expert(sql, output)
            return Answer(cursor.statusmessage, ['line'], [(line,) for line in output.getvalue().splitlines()], '', '')
        cursor.execute(sql)
        if cursor.description is None:
            return Answer(cursor.statusmessage, None, [], '', '')
        columns = [column.name for column in cursor.description]
        return Answer(cursor.statusmessage, columns, cursor.fetchall(), '', '')
    except psycopg2.Error as error:
        if connection.closed or error.pgcode is None:
            return Answer('', None, [], LOST, str(error).strip())
        return Answer('', None, [], error.pgcode, str(error).strip().splitlines()[0])
    finally:
        cursor.close()


def difference(soft, twin, ordered=False, compare='all'):
    """Why two answers disagree, or an empty string."""
    if LOST in (soft.sqlstate, twin.sqlstate):
        return LOST
    if soft.sqlstate != twin.sqlstate:
        return 'SQLSTATE'
    if soft.sqlstate or compare == 'state':
        return ''
    if compare == 'all' and soft.tag != twin.tag:
        return 'command tag'
    if compare == 'count' and soft.tag.split()[-1] != twin.tag.split()[-1]:
        return 'row count'
    if soft.columns != twin.columns:
        return 'columns'
    if ordered:
        return '' if soft.rows == twin.rows else 'rows in order'
    return '' if Counter(soft.rows) == Counter(twin.rows) else 'rows'


def show_rows(soft, twin, limit=8):
    """The rows that only one side has, as lines."""
    left, right = Counter(soft.rows), Counter(twin.rows)
    lines = []
    for title, rows in (('only with soft delete', left - right), ('only in the twin', right - left)):
        listed = sorted(rows.elements(), key=repr)
        for row in listed[:limit]:
            lines.append(f'    {title}: {row}')
        if len(listed) > limit:
            lines.append(f'    {title}: ... {len(listed)} rows')
    if not lines and soft.rows != twin.rows:
        lines += [f'    order with soft delete: {soft.rows[:limit]}', f'    order in the twin: {twin.rows[:limit]}']
    return lines
