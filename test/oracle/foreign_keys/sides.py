"""Both sides of a schema: asks them the same, looks at their rows, compares.

A row is (number of the table, partition, the other columns as text).  Where a foreign key keeps a
reference to a deleted row (SET NULL, SET DEFAULT), the row of the soft side is compared as it would be
had the action been taken; the reference itself has to be as it was before the delete.
"""

from collections import defaultdict, namedtuple
import re

import psycopg2

from twin.compare import connect, LOST
from twin.unit import Mismatch

from .model import MARKER, STAMP
from .schema import statements

Error = namedtuple('Error', 'state message detail table constraint')
Answer = namedtuple('Answer', 'tag rows error')
NONE = Error('', '', '', '', '')
SIDES = ('soft', 'twin')
# It can depend on the order of rows whether NO ACTION finds one that a cascade has still to delete.  Rows lie
# in another order on either side, since deleted ones stay on one, so they are met by indexes.
PLANS = ('SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;'
         ' SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off;'
         ' SET max_parallel_workers_per_gather = 0')
ONE_ROW = re.compile(r'(?:WHERE (?:x\.)?id (?:= |IN \()|^EXECUTE \w+ \()(\d+)\)?'
                     r'(?: AND gone[ =a-zA-Z0]*)?(?: RETURNING.*)?$')


def ask(cursor, sql):
    """Runs statements, and returns the answer to the last one."""
    try:
        cursor.execute(sql)
        return Answer(cursor.statusmessage, sorted(cursor.fetchall(), key=repr) if cursor.description else None, NONE)
    except psycopg2.Error as error:
        if cursor.connection.closed or error.pgcode is None:
            return Answer('', None, Error(LOST, str(error).strip(), '', '', ''))
        diag = error.diag
        return Answer('', None, Error(error.pgcode, diag.message_primary, diag.message_detail or '',
                                      diag.table_name or '', diag.constraint_name or ''))


def describe(answer):
    """An answer in a line."""
    if answer.error.state:
        return f'ERROR {answer.error.state}: {answer.error.message} / {answer.error.detail}'
    return answer.tag + ('' if answer.rows is None else f' {answer.rows}')


def kind_of(error):
    """What an error is about, without the names of what was met first."""
    return error.state, re.sub('".*"', '', error.message)


def same_error(step, soft, twin):
    """Whether two errors are the same, word by word where it is certain which row fails first.

    Cascades from several rows at once are done together, and joins find rows in some order.  The rows of
    VALUES have an order, and the one row that a statement is about comes before those that it takes along.
    Where checks of references and cascades take turns, or all that was deferred is checked, even the kind
    of error depends on the order.  A key that changes can be missed by a row that is checked again, on the twin
    alone, or by the check of the key.
    """
    if soft == twin or soft.state != twin.state:
        return soft == twin
    if step.kind in ('frame', 'set constraints', 'merge') or step.sql.startswith('WITH'):
        return True
    if kind_of(soft) != kind_of(twin):
        # see is_checked_again()
        return (step.deletes or step.kind == 'update key') and twin.message.startswith('insert or update')
    one = ONE_ROW.search(step.sql)
    if one:
        return not any(one.group(1) in re.findall(r'\d+', error.detail) for error in (soft, twin))
    return not step.sql.startswith('INSERT') or bool(step.twin)


def is_checked_again(step, soft, twin):
    """Whether the twin alone has checked a row's references again.

    The server does that with rows that the transaction itself has written, even if a cascade is still to
    delete them: here because SET NULL has written to it.
    """
    return (step.deletes and not soft.error.state and twin.error.state == '23503'
            and twin.error.message.startswith('insert or update'))


def difference(step, soft, twin, queued=False):
    """Why two answers disagree, or an empty string; queued: checks may be put off after SET CONSTRAINTS."""
    if LOST in (soft.error.state, twin.error.state):
        return LOST
    if soft.error.state != twin.error.state:
        return 'SQLSTATE'
    if not queued and not same_error(step, soft.error, twin.error):
        return 'words of the error'
    if soft.error.state or step.compare == 'state':
        return ''
    if step.compare == 'all' and soft.tag != twin.tag:
        return 'command tag'
    if step.compare == 'count' and soft.tag.split()[-1] != twin.tag.split()[-1]:
        return 'row count'
    return 'rows returned' if soft.rows != twin.rows else ''


class State:
    """The rows of both sides at a moment."""

    def __init__(self, soft, twin):
        self.stamps = {(int(number), leaf, text): int(stamp) for number, stamp, leaf, text in soft}
        self.twin = {(int(number), leaf, text) for number, _, leaf, text in twin}
        self.live = {row for row, stamp in self.stamps.items() if not stamp}
        self.dead = self.stamps.keys() - self.live
        self.sorted = {}

    def of(self, group, table):
        """The rows of a table among 'twin', 'live' or 'dead' ones, in an order that can be repeated."""
        if group not in self.sorted:
            tables = self.sorted[group] = defaultdict(list)
            for item in sorted(getattr(self, group)):
                tables[item[0]].append(item)
        return self.sorted[group][table.number]


class Sides:
    """Two sessions and the schemas they work on."""

    def __init__(self, dsn, plain):
        self.plain = plain
        self.dsn = dsn
        self.schema = None
        self.cursors = {}
        self.values = {}            # text → row of integers
        self.looks = {}

    def close(self):
        """Ends the sessions."""
        for cursor in self.cursors.values():
            cursor.connection.close()
        self.cursors = {}

    def build(self, schema):
        """Makes both schemas afresh."""
        self.close()
        self.schema, self.values = schema, {}
        for side in SIDES:
            cursor = self.cursors[side] = connect(self.dsn, side).cursor()
            soft = side == 'soft' and not self.plain
            sql = '; '.join(statements(schema, soft))
            # Names are PostgreSQL's own, whatever convention other units have left in the database.
            cursor.execute(f'{PLANS}; SET orm_ext.naming_fill = off; SET orm_ext.naming_check = off;'
                           f' DROP SCHEMA IF EXISTS {side} CASCADE; BEGIN; CREATE SCHEMA {side}; {sql}; COMMIT')
            self.looks[side] = self.query(soft)
            cursor.execute(f'PREPARE look AS {self.looks[side]}')
            for table in schema.tables:
                cursor.execute(f'PREPARE drop_{table.name} (bigint) AS DELETE FROM {table.name} WHERE id = $1')
        if not self.same_order():
            self.build(schema)

    def same_order(self):
        """Whether the names of the foreign keys' triggers are in the order of their oids on both sides."""
        self.cursors['twin'].execute("""SELECT count(DISTINCT length(t.oid::text))
            FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid
            WHERE relnamespace IN ('soft'::regnamespace, 'twin'::regnamespace)""")
        return self.cursors['twin'].fetchone()[0] < '2'

    def query(self, soft):
        """SELECT all rows of a side."""
        parts = []
        for table in self.schema.tables:
            names = ', '.join(table.names)
            leaf = 'tableoid::regclass::text' if table.leaves else "''"
            managed = soft and table.managed
            stamp = STAMP[table.marker].format(MARKER) if managed else '0::bigint'
            where = f' WHERE orm_ext.with_deleted({MARKER})' if managed else ''
            parts.append(f'SELECT {table.number}, {stamp}, {leaf}, ROW({names})::text FROM {table.name}{where}')
        return ' UNION ALL '.join(parts)

    def look(self):
        """The rows of both sides."""
        found = []
        for cursor in self.cursors.values():
            cursor.execute('EXECUTE look')
            found.append(cursor.fetchall())
        return State(*found)

    def look_at_soft(self):
        """The rows of the soft side, while the twin's transaction has failed."""
        self.cursors['soft'].execute('EXECUTE look')
        return State(self.cursors['soft'].fetchall(), [])

    # Rows

    def row(self, item):
        """The integers of a row."""
        text = item[2]
        values = self.values.get(text)
        if values is None:
            values = self.values[text] = tuple(int(value) if value else None for value in text[1:-1].split(','))
        return values

    def keys(self, items, table, names):
        """Some columns of a table's rows."""
        at = [table.at(name) for name in names]
        return [tuple(row[i] for i in at) for row in map(self.row, items)]

    def as_acted(self, item, state, back=()):
        """A row as it would be had SET NULL and SET DEFAULT been done; None if nothing was to be done.

        back: deleted rows that count as live.
        """
        number, leaf, _ = item
        table = self.schema.table(number)
        row = list(self.row(item))
        changed = False
        for reference in self.schema.of(table):
            if reference.keeps and reference.child_leaf in ('', leaf):
                at = [table.at(name) for name in reference.columns]
                dead = [other for other in state.of('dead', reference.parent) if other not in back]
                key = tuple(row[i] for i in at)
                if None not in key and key in self.keys(dead, reference.parent, reference.referenced):
                    changed = True
                    for name in reference.only or reference.columns:
                        default = table.column(name).default if reference.on_delete == 'SET DEFAULT' else None
                        row[table.at(name)] = default
        if not changed:
            return None
        return number, leaf, f"({','.join('' if value is None else str(value) for value in row)})"

    # Comparing

    def compare(self, state, when, before=None):
        """Live rows have to be the twin's; before: the rows that a mere delete was not to change."""
        only = state.live - state.twin
        acted = {item: self.as_acted(item, state) for item in only}
        live = (state.live - only) | {acted[item] or item for item in only}
        if live != state.twin or len(live) != len(state.live):
            lines = [f'live rows differ {when}']
            lines += [f'    only with soft delete: {self.shown(item)}' for item in sorted(live - state.twin)]
            lines += [f'    only in the twin: {self.shown(item)}' for item in sorted(state.twin - live)]
            raise Mismatch(lines)
        if before and not self.plain:
            self.only_marked(before, state)

    def only_marked(self, before, after):
        """A soft delete changes nothing but markers, and gives all rows the same."""
        for item in sorted(before.stamps.keys() ^ after.stamps.keys()):
            raise Mismatch([f'a soft delete changed more than markers: {self.shown(item)}'])
        for item in sorted(before.dead):
            if before.stamps[item] != after.stamps.get(item):
                raise Mismatch([f'the marker of a deleted row changed: {self.shown(item)}'])
        stamps = {after.stamps[item] for item in after.dead - before.dead
                  if self.schema.table(item[0]).marker != 'boolean'}
        if len(stamps) > 1:
            raise Mismatch([f'the rows of one delete have more than one stamp: {sorted(stamps)}'])

    def shown(self, item):
        """A row for the reader."""
        table = self.schema.table(item[0])
        return f"{item[1] or table.name}({', '.join(table.names)}) = {item[2]}"
