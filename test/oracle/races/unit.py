"""A unit of work: one pair of schemas, and a row of items.

An item is two transactions whose statements take turns, at random, on tables under soft delete, and the
same on plain ones.  Who waits for whom, what is answered, and which rows are left has to be the same;
and no live row may refer to a deleted one.
"""

import random

import psycopg2

from twin.compare import connect
from twin.unit import Mismatch, Result

from .session import Pair, Stuck
from .steps import Steps, tables

ITEMS = 25
SIDES = ('soft', 'twin')


class Unit:
    """Builds the tables of one unit and runs its items."""

    def __init__(self, kind, number, options, fault=None):
        self.kind = kind
        self.number = number
        self.options = options
        self.fault = fault
        self.result = Result()
        self.tables = []
        self.pairs = {}
        self.cursor = None

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs the items first..last; they do not depend on each other."""
        for number in range(first, last):
            steps = []
            try:
                self.build(number)
                steps = Steps(self.random(number), self.tables).transactions()
                if self.fault:
                    steps = [self.fault.spoil(step) for step in steps]
                self.item(steps)
                self.result.passed += 1
            except Mismatch as mismatch:
                self.fail(number, mismatch.args[0], steps)
            except (psycopg2.Error, Stuck) as error:
                self.fail(number, [f'{type(error).__name__}: {error}', *self.told()], steps)
            finally:
                for pair in self.pairs.values():
                    pair.close()
                self.pairs = {}
        return self.result

    def fail(self, number, lines, steps):
        """Keeps a failure with the way to repeat it."""
        repeat = f'repeat with: test/oracle/run --seed {self.options.seed} --repeat {self.kind}:{self.number}:{number}'
        if self.options.plain:
            repeat += ' --plain'
        script = [f'  {step.session}: {step.soft};' for step in steps]
        self.result.failures.append('\n'.join([f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}',
                                               *self.made(), *script, *lines[1:], f'  {repeat}']))

    def made(self):
        """What made the tables, as lines."""
        return [f'  {sql};' for table in self.tables for sql in (*table.create(), table.fill())]

    def build(self, number):
        """Makes both sides afresh."""
        self.tables = tables(self.random('schema', number // 5))
        connection = connect(self.options.dsn, 'public')
        self.cursor = connection.cursor()
        options = self.fault.options if self.fault else ''
        for side in SIDES:
            self.cursor.execute(f'DROP SCHEMA IF EXISTS {side} CASCADE; CREATE SCHEMA {side}; SET search_path = {side}')
            for table in self.tables:
                for sql in (*table.create(), table.fill()):
                    self.cursor.execute(sql)
                if side == 'soft' and not self.options.plain:
                    self.cursor.execute(f'CREATE TRIGGER soft_delete BEFORE DELETE ON {table.name} FOR EACH ROW'
                                        f" EXECUTE FUNCTION orm_ext.soft_delete('deleted_at'{options})")
            for table in reversed(self.tables):
                keys = ', '.join(str(row[0]) for row in table.gone)
                self.cursor.execute(f'DELETE FROM {table.name} WHERE id IN ({keys})')
        self.pairs = {side: Pair(self.options.dsn, side) for side in SIDES}

    def item(self, steps):
        """Plays the steps on both sides and compares."""
        if self.options.plain:
            for step in steps:
                step.soft = step.twin
        events = {side: pair.play(steps) for side, pair in self.pairs.items()}
        for step in steps:
            self.result.statements[step.kind] += 1
        if any('SERIALIZABLE' in step.soft for step in steps) and \
                any('40001' in event for side in SIDES for event in events[side]):
            # Which of two is to fail, and whether one has to, hangs on what lies on which page.
            self.result.seen['serialization failure, not compared'] += 1
        else:
            if events['soft'] != events['twin']:
                raise Mismatch(['other answers, or others wait', *self.told()])
            self.compare_rows()
        self.look_for_dangling()
        for event in events['soft']:
            if event.endswith('waits'):
                self.result.seen['waits'] += 1
            elif event.endswith('deadlock'):
                self.result.seen['deadlock'] += 1
            elif 'ERROR' in event:
                self.result.errors[self.kind, event.split()[-1]] += 1

    def told(self):
        """What happened on both sides, as lines."""
        lines = []
        for side, pair in self.pairs.items():
            lines += [f'  {side}:', *(f'    {event}' for event in pair.events)]
        return lines

    def compare_rows(self):
        """Compares what is left."""
        for table in self.tables:
            rows = []
            for side in SIDES:
                self.cursor.execute(f'SELECT id, up, v FROM {side}.{table.name} ORDER BY id')
                rows.append(self.cursor.fetchall())
            if rows[0] != rows[1]:
                raise Mismatch([f'other rows in {table.name}: soft {rows[0]}, twin {rows[1]}', *self.told()])
            self.result.rows += len(rows[0])

    def look_for_dangling(self):
        """Looks for live rows that refer to a deleted one."""
        for table in self.tables:
            if table.refers_to:
                self.cursor.execute(f'SELECT c.id FROM soft.{table.name} AS c WHERE up IS NOT NULL AND NOT EXISTS'
                                    f' (SELECT FROM soft.{table.refers_to} AS p WHERE p.id = c.up)')
                rows = self.cursor.fetchall()
                if rows:
                    raise Mismatch([f'rows of {table.name} refer to deleted ones: {rows}', *self.told()])
