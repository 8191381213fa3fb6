"""A unit of work: one random schema on both sides, two sessions, and a row of transactions.

After each statement the answers and the live rows of both sides are compared, errors word by word.
"""

import random

import psycopg2

from twin.compare import LOST
from twin.unit import Mismatch, Result

from .reduce import Reducer
from .schema import Builder, statements
from .sides import ask, describe, difference, is_checked_again, Sides, SIDES
from .statement import Step
from .statements import Statements
from .wayback import WayBack

ITEMS = 30
WAY_BACK = 0.07    # share of items that delete and restore
LEVELS = ('', ' ISOLATION LEVEL REPEATABLE READ', ' ISOLATION LEVEL SERIALIZABLE')


class Unit:
    """Builds the schemas of one unit and runs its items."""

    def __init__(self, kind, number, options, fault=None):
        self.kind = kind
        self.number = number
        self.options = options
        self.fault = fault
        self.result = Result()
        self.sides = Sides(f'{options.dsn}', options.plain)
        self.generator = None
        self.state = None
        self.before = None          # rows when the item began
        self.history = []           # the item's steps
        self.failed = False         # the last statement raised an error, on both sides

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs all items up to the last; stops at the first mismatch, after which the sides would differ.

        Each depends on those before it.  So one that is to be repeated alone is made into a small script.
        """
        number = 0
        try:
            self.build()
            for number in range(last):
                self.item(number)
                self.result.passed += 1
        except Mismatch as mismatch:
            self.fail(number, mismatch.args[0])
            self.sides.close()
            if first:
                self.result.failures[-1] = '\n'.join([self.result.failures[-1], *Reducer(self).run()])
        except psycopg2.Error as error:
            self.fail(number, [f'{error.pgcode or LOST}: {error}'])
        self.sides.close()
        return self.result

    def fail(self, number, lines):
        """Keeps a failure with all that is needed to repeat it."""
        repeat = (f'  repeat with: test/oracle/run --seed {self.options.seed}'
                  f' --repeat {self.kind}:{self.number}:{number}' + (' --plain' if self.options.plain else ''))
        self.result.failures.append('\n'.join([f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}',
                                               *lines[1:], *self.told(), repeat]))

    def told(self):
        """The soft side's story: its tables, its rows, and the statements."""
        if not self.sides.schema:
            return
        for sql in statements(self.sides.schema, not self.options.plain):
            yield f'  {sql};'
        if self.before:
            for item, stamp in sorted(self.before.stamps.items()):
                yield f"  -- {self.sides.shown(item)}{f', deleted at {stamp}' if stamp else ''}"
        for step in self.history:
            yield f'  {step.sql};' + (f'  -- twin: {step.twin}' if step.twin else '')

    # Setting up

    def build(self):
        """Makes both sides afresh."""
        schema = Builder(self.random('schema')).build()
        self.sides.build(schema)
        if self.fault:
            for sql in self.fault.statements(schema):
                self.sides.cursors['soft'].execute(sql)
        self.generator = Statements(None, self.sides)
        self.look('once the schemas are built')
        for table in schema.tables:
            self.result.seen['trigger that writes again'] += bool(table.again)
        for reference in schema.references:
            for feature in self.features(reference):
                self.result.seen[feature] += 1

    @staticmethod
    def features(reference):
        """What a foreign key has of interest."""
        yield f"on delete {reference.on_delete}{' (columns)' if reference.only else ''}"
        yield f'on update {reference.on_update}'
        yield f'form: {reference.form}'
        if not reference.enforced:
            yield 'not enforced: ' + ('foreign_keys=off' if reference.parent.managed else 'unmanaged parent')
        for feature, there in (('deferrable', reference.deferrable), ('initially deferred', reference.deferred),
                               ('match full', reference.full), ('composite', len(reference.columns) > 1),
                               ('to itself', reference.child is reference.parent),
                               ('from a partitioned table', reference.child.leaves),
                               ('to a partitioned table', reference.parent.leaves),
                               ('of a partition', reference.child_leaf), ('to a partition', reference.parent_leaf),
                               ('unmanaged child', not reference.child.managed)):
            if there:
                yield feature

    # Running

    def item(self, number):
        """Generates and runs one transaction, or some statements without one."""
        rng, generator = self.random(number), self.generator
        generator.rng, generator.savepoints = rng, []
        self.history, self.before = [], self.state
        if not self.options.plain and rng.random() < WAY_BACK:
            WayBack(self, rng).run()
            self.state = self.generator.state
            return
        form = rng.choices(('guarded', 'plain', 'alone'), (6, 3, 2))[0]
        self.result.seen[f'transaction: {form}'] += 1
        if form != 'alone':
            self.command(f'BEGIN{rng.choices(LEVELS, (6, 1, 1))[0]}')
        for _ in range(rng.choice((1, 2, 3, 4, 6, 8))):
            step = generator.control() if form != 'alone' and rng.random() < 0.18 else generator.statement()
            if not step:
                continue
            step.guarded = form == 'guarded' and not step.frame
            self.step(step)
            if self.failed and form == 'plain':
                break
        if form != 'alone':
            aborted = self.failed and form == 'plain'
            back = rng.random() < 0.12 or not aborted and generator.is_dangling()
            self.command('ROLLBACK' if back else 'COMMIT', look=True)

    def command(self, sql, look=False):
        """What belongs to the frame."""
        self.step(Step(sql, 'frame', frame=not look))

    def step(self, step):
        """One statement on both sides, and the comparison."""
        self.history.append(step)
        answers = [self.tell(step, side) for side in SIDES]
        if self.fault:
            answers[0] = self.fault.answer(self, step, answers[0])
        soft, twin = answers
        if self.options.verbose:
            print(f'{step.sql};\n    -- soft: {describe(soft)}\n    -- twin: {describe(twin)}', flush=True)
        queued = any(one.kind == 'set constraints' for one in self.history)
        if self.history[0].sql.startswith('BEGIN') and (is_checked_again(step, soft, twin)
                                                        or queued and self.is_checked_later(step, soft, twin)):
            self.undo(step)
            return
        reason = difference(step, soft, twin, queued)
        if reason:
            raise Mismatch([f'{reason} of {step.kind}', f'  soft: {describe(soft)}', f'  twin: {describe(twin)}'])
        self.failed = bool(twin.error.state)
        self.account(step, twin)
        if step.guarded:
            self.both('ROLLBACK TO guard' if self.failed else 'RELEASE guard')
        if self.failed and not step.guarded and step.kind != 'frame' and self.history[0].sql.startswith('BEGIN'):
            return
        if step.sql != 'BEGIN' and (not step.frame or step.kind == 'rollback to'):
            before = self.state if step.mere and not self.failed else None
            self.look(f'after {step.kind}', before)

    def is_checked_later(self, step, soft, twin):
        """Whether the twin alone has found a row that refers to a deleted one, which a cascade was still to delete.

        After SET CONSTRAINTS, the soft side leaves it to the server's queue when a deferrable constraint is
        checked, and so its check comes after the cascades.  Then no live row may refer to a deleted one.
        """
        if not step.deletes or soft.error.state or not twin.error.message.startswith('update or delete'):
            return False
        reference = next((one for one in self.sides.schema.references
                          if one.name == twin.error.constraint and one.deferrable), None)
        if not reference:
            return False
        state = self.sides.look_at_soft()
        dead = self.sides.keys(state.of('dead', reference.parent), reference.parent, reference.referenced)
        return not set(dead) & set(self.sides.keys(state.of('live', reference.child), reference.child,
                                                   reference.columns))

    def undo(self, step):
        """Both sides forget a statement, or the transaction."""
        self.result.seen['undone: the twin checked a row again, or earlier'] += 1
        self.failed = True
        self.both('ROLLBACK TO guard' if step.guarded else 'ROLLBACK')
        self.look('after what was undone')

    def tell(self, step, side):
        """Runs a statement on one side."""
        sql = step.on(side, self.options.plain)
        return ask(self.sides.cursors[side], f'SAVEPOINT guard; {sql}' if step.guarded else sql)

    def both(self, sql):
        """Runs what cannot fail."""
        for cursor in self.sides.cursors.values():
            cursor.execute(sql)

    def look(self, when, before=None):
        """Looks at the rows, and compares."""
        self.state = self.generator.state = self.sides.look()
        self.sides.compare(self.state, when, before)

    def account(self, step, answer):
        """Counts what an agreed answer contained."""
        result = self.result
        result.statements[step.kind] += 1
        if answer.error.state:
            result.errors[self.kind, answer.error.state] += 1
            return
        count = answer.tag.split()[-1]
        if count.isdigit() and int(count):
            result.with_rows[step.kind] += 1
            result.touched += int(count)
