"""A unit of work: one random pair of schemas, two sessions, and a row of items.

Units are independent of each other and of the number of jobs, so any item can be repeated by
running its unit up to it.
"""

from collections import Counter, namedtuple
from dataclasses import dataclass, field
import random

import psycopg2

from .compare import ask, connect, difference, LOST, show_rows, TIMEOUT
from .dml import Transactions
from .schema import Builder
from .selects import Selects

ITEMS = {'select': 100, 'transaction': 40}
CONTROL = ('savepoint', 'rollback to', 'release', 'toggle', 'delete mode')
WRITES = ('DELETE', 'UPDATE', 'INSERT', 'MERGE')

Options = namedtuple('Options', 'dsn seed version plain self_test verbose')


@dataclass
class Result:
    """What came out of a unit, or of all of them."""

    passed: int = 0
    failures: list = field(default_factory=list)
    seen: Counter = field(default_factory=Counter)          # features that were generated
    statements: Counter = field(default_factory=Counter)    # statements by kind
    with_rows: Counter = field(default_factory=Counter)     # those that returned or changed rows
    errors: Counter = field(default_factory=Counter)        # agreed errors by (kind of unit, SQLSTATE)
    rows: int = 0
    touched: int = 0
    timeouts: int = 0

    def add(self, other):
        """Adds the figures of another result."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)


class Mismatch(Exception):
    """The sides disagree; carries the lines to print."""


class Unit:
    """Builds the schemas of one unit and runs its items."""

    def __init__(self, kind, number, options):
        self.kind = kind
        self.number = number
        self.options = options
        self.result = Result()
        self.schema = None
        self.soft = self.twin = None
        self.physical = None
        self.failed = False     # the last statement raised an error, on both sides
        self.history = []       # what the sessions were told since the item began

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs the items first..last; stops where a session is lost."""
        try:
            self.build()
        except psycopg2.Error as error:
            self.fail(0, [f'building the schemas failed: {error}', *self.history[-1:]])
            return self.result
        except Mismatch as mismatch:
            self.fail(0, mismatch.args[0])
            return self.result
        for number in range(first, last):
            try:
                self.history = []
                self.item(number)
                self.result.passed += 1
            except Mismatch as mismatch:
                lines = mismatch.args[0]
                self.fail(number, lines)
                if LOST in lines[0] or not self.recover():
                    break
            except psycopg2.Error as error:
                self.fail(number, [f'{LOST}: {error}', *self.told()])
                break
        self.close()
        return self.result

    def fail(self, number, lines):
        """Keeps a failure with the way to repeat it."""
        repeat = (f'repeat with: test/oracle/run --seed {self.options.seed}'
                  f' --repeat {self.kind}:{self.number}:{number}')
        if self.options.plain:
            repeat += ' --plain'
        self.result.failures.append('\n'.join([f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}',
                                               *lines[1:], f'  {repeat}']))

    # Setting up

    def build(self):
        """Makes both schemas afresh."""
        self.schema = Builder(self.random('schema'), self.options.version, self.options.plain).build()
        for name, statements in (('soft', self.schema.soft), ('twin', self.schema.twin)):
            connection = connect(self.options.dsn, name)
            cursor = connection.cursor()
            cursor.execute(f'DROP SCHEMA IF EXISTS {name} CASCADE')
            cursor.execute('BEGIN')
            cursor.execute(f'CREATE SCHEMA {name}')
            for statement in statements:
                self.history.append(statement)
                cursor.execute(statement.replace('{schema}', name))
            cursor.execute('COMMIT')
            if self.kind == 'select' and self.random('vacuum').random() < 0.5:
                # Makes index-only scans worth their while.
                cursor.execute(f"VACUUM (ANALYZE) {', '.join(self.schema.contents)}")
            connection.close()
        self.soft = connect(self.options.dsn, 'soft')
        self.twin = connect(self.options.dsn, 'twin')
        self.physical = self.count_physical()
        self.history = []
        self.compare_contents('after the schemas were built')
        if self.options.self_test:
            self.soft.cursor().execute('ALTER TABLE t_a DISABLE TRIGGER ALL')

    def close(self):
        """Ends both sessions."""
        for connection in (self.soft, self.twin):
            connection.close()

    def recover(self):
        """After a mismatch in a transaction the data may differ: make both sides anew."""
        if self.kind == 'select':
            return not any(ask(connection, 'ROLLBACK; DEALLOCATE ALL').sqlstate
                           for connection in (self.soft, self.twin))
        self.close()
        try:
            self.build()
        except (psycopg2.Error, Mismatch):
            return False
        return True

    # Running

    def item(self, number):
        """Generates and runs one item."""
        rng, seen = self.random(number), self.result.seen
        if self.kind == 'select':
            item = Selects(rng, self.schema, seen, self.options).item()
        else:
            item = Transactions(rng, self.schema, seen, self.options, number).item()
        self.command('; '.join([item.begin, *item.settings]))
        if item.role:
            self.result.seen['as a role with few privileges'] += 1
            self.command('SET LOCAL ROLE oracle_app')
        for step in item.steps:
            self.step(step, item.guarded)
            if self.failed and not item.guarded:
                break
        if self.kind == 'transaction' and (item.guarded or not self.failed):
            self.finish(item)
        else:
            self.command('ROLLBACK')
        if any(step.kind == 'prepare' for step in item.steps):
            self.command('DEALLOCATE ALL')

    def command(self, sql):
        """Runs what belongs to the frame, on both sides; it has to work."""
        self.history.append(sql)
        for side, connection in (('soft', self.soft), ('twin', self.twin)):
            answer = ask(connection, sql)
            if answer.sqlstate:
                raise Mismatch([LOST if answer.sqlstate == LOST else 'a command of the frame failed',
                                *self.told(), f'  {side}: {answer.describe()}'])

    def step(self, step, guarded):
        """Runs one statement on both sides and compares."""
        guarded = guarded and step.kind not in CONTROL
        if guarded:
            self.command('SAVEPOINT guard')
        # Unmanaged, the soft side is asked what the twin is asked.
        sql = step.twin if step.twin and self.options.plain else step.sql
        if step.reference:
            reference = self.unfiltered(step.reference)
        if step.visible:
            self.command(f"SET LOCAL orm_ext.deleted_rows = '{step.visible}'")
        self.history.append(sql)
        soft = ask(self.soft, sql, step.copy)
        if step.visible and not soft.sqlstate:
            self.command("SET LOCAL orm_ext.deleted_rows = 'hide'")
        if step.noise:
            if soft.sqlstate:
                raise Mismatch([f'{step.kind}: {soft.describe()}', *self.told()])
            return
        if step.reference:
            twin = reference
        else:
            twin = ask(self.twin, step.twin or sql, step.copy)
        if self.options.verbose:
            print(f'{step.sql};\n    -- soft: {soft.describe()}\n    -- twin: {twin.describe()}', flush=True)
        self.result.statements[step.kind] += 1
        if TIMEOUT in (soft.sqlstate, twin.sqlstate):
            self.result.timeouts += 1
        else:
            reason = difference(soft, twin, step.ordered, step.compare)
            if reason:
                raise Mismatch(self.explain(reason, step, soft, twin))
            self.account(step, soft)
        self.failed = bool(soft.sqlstate or twin.sqlstate)
        if guarded:
            self.command('ROLLBACK TO guard' if self.failed else 'RELEASE guard')

    def unfiltered(self, sql):
        """What the soft side says while nothing is hidden."""
        self.command("SET LOCAL orm_ext.deleted_rows = 'show'")
        answer = ask(self.soft, sql)
        if not answer.sqlstate:
            self.command("SET LOCAL orm_ext.deleted_rows = 'hide'")
        return answer

    def account(self, step, answer):
        """Counts what an agreed answer contained."""
        if answer.sqlstate:
            self.result.errors[self.kind, answer.sqlstate] += 1
            return
        if answer.rows:
            self.result.with_rows[step.kind] += 1
            self.result.rows += len(answer.rows)
        words = answer.tag.split()
        if words and words[0] in WRITES and words[-1].isdigit():
            self.result.touched += int(words[-1])
            if not answer.rows and words[-1] != '0':
                self.result.with_rows[step.kind] += 1

    def finish(self, item):
        """Compares what the tables hold, then commits or rolls back."""
        if item.role:
            self.command('RESET ROLE')
        self.compare_contents('before the end of the transaction')
        self.command('COMMIT' if item.commit else 'ROLLBACK')
        for step in item.after:
            self.step(step, False)
        if not item.commit:
            self.compare_contents('after ROLLBACK')
        physical = self.count_physical()
        if not item.really_deletes:
            lost = [name for name in physical if physical[name] < self.physical[name]]
            if lost:
                counts = ', '.join(f'{name} {self.physical[name]} -> {physical[name]}' for name in lost)
                raise Mismatch([f'rows were physically lost: {counts}', *self.told()])
        self.physical = physical

    # Looking at the tables

    def compare_contents(self, when):
        """Compares all live rows, with markers and without."""
        query = ' UNION ALL '.join(
            f"SELECT '{name}' AS name, count(*), sum(hashtextextended(x::text, 0)::numeric) FROM {name} AS x"
            for name in self.schema.contents)
        soft, twin = ask(self.soft, query), ask(self.twin, query)
        reason = difference(soft, twin)
        if not reason:
            return
        lines = [f'contents differ {when} ({reason})', *self.told()]
        if soft.sqlstate or twin.sqlstate:
            raise Mismatch(lines + [f'  soft: {soft.describe()}', f'  twin: {twin.describe()}'])
        for name in sorted({row[0] for row in set(soft.rows) ^ set(twin.rows)}):
            lines.append(f'  table {name}:')
            lines += show_rows(*(ask(connection, f'SELECT * FROM {name}') for connection in (self.soft, self.twin)))
        raise Mismatch(lines)

    def count_physical(self):
        """How many rows the soft side really has; a soft DELETE never lowers it."""
        query = ' UNION ALL '.join(f"SELECT '{name}', count(*) FROM {name}" for name in self.schema.kept)
        cursor = self.soft.cursor()
        cursor.execute(f"BEGIN; SET LOCAL orm_ext.deleted_rows = 'show'; {query}")
        counts = {name: int(count) for name, count in cursor.fetchall()}
        cursor.execute('ROLLBACK')
        return {} if self.options.plain else counts

    # Reporting

    def told(self):
        """The history as lines."""
        return [f'  {sql};' for sql in self.history]

    def explain(self, reason, step, soft, twin):
        """The lines of a mismatch in one statement."""
        lines = [f'{reason} of a statement ({step.kind})', *self.told()]
        if step.twin:
            lines.append(f'  on the twin: {step.twin};')
        if step.reference:
            lines.append(f'  reference with every row shown: {step.reference};')
        lines += [f'  soft: {soft.describe()}', f'  twin: {twin.describe()}']
        if not soft.sqlstate and not twin.sqlstate:
            lines += show_rows(soft, twin)
        return lines
