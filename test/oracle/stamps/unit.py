"""A unit of work: one random table group, one session, and a row of items against the model.

An item is a transaction, or some statements without one.  After each statement tag, rows, SQLSTATE,
warnings and the whole table are compared; what the model knows only by rule is then taken over
from the table.
"""

from dataclasses import replace
import io
import json
import random

import psycopg2
from psycopg2 import extensions

from twin.compare import Answer, ask, connect, LOST
from twin.unit import Mismatch, Result

from .contract import Context
from .ddl import Changes
from .generator import Generator
from .schema import Builder, declaration, ROLES
from .statements import State
from .types import quote, SqlError, Unsure
from .unknown import Instants, problem
from .wrappers import Execute

ITEMS = 12
GUARD = 'does not mention its version'  # what every warning of the guard says
ATTEMPTS = 40
INTERVAL = 1186     # the type's oid; psycopg2 would make something else of it

MANAGED = '''SELECT "table"::text, policy, "column", trigger, enabled::text::"char", array_to_string(ARRAY(
    SELECT o FROM unnest(options) o WHERE o NOT LIKE 'ignore=%' ORDER BY o COLLATE "C"), ' ')
    FROM orm_ext.managed
    WHERE "table"::text IN ('t', 't_child', 'p') AND policy NOT IN ('soft_delete', 'touch_parent')'''


class Unit:
    """Builds the tables of one unit and runs its items."""

    def __init__(self, kind, number, options, fault=None):
        self.kind = kind
        self.number = number
        self.options = options
        self.fault = fault
        self.result = Result()
        self.schema = self.session = self.generator = None
        self.state = State({})
        self.context = Context()
        self.savepoints = []        # (name, state, context)
        self.change = None          # the transaction's number, once it has one
        self.clock = self.next_change = 0
        self.base = 0               # what is added to a transaction's number
        self.tokens = set()
        self.tables = []            # what made them
        self.history = []

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs the items first..last; stops where the session is lost."""
        if not self.try_build():
            return self.result
        for number in range(first, last):
            try:
                self.history = []
                self.item(number)
                self.result.passed += 1
            except Mismatch as mismatch:
                self.fail(number, mismatch.args[0])
                if LOST in mismatch.args[0][0] or not self.try_build():
                    break
            except psycopg2.Error as error:
                self.fail(number, [f'{LOST}: {error}'])
                break
        if self.session:
            self.session.close()
        return self.result

    def fail(self, number, lines):
        """Keeps a failure with all that is needed to repeat it."""
        repeat = (f'  repeat with: test/oracle/run --seed {self.options.seed}'
                  f' --repeat {self.kind}:{self.number}:{number}' + (' --plain' if self.options.plain else ''))
        told = [f'  {sql};' for sql in self.history]
        self.result.failures.append('\n'.join([
            f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}', '  tables:',
            *[f'  {sql};' for sql in self.tables], '  item:', *told, *lines[1:], repeat]))

    # Setting up

    def try_build(self):
        """Makes the tables; False, and a failure, where that is refused."""
        try:
            self.build()
            return True
        except psycopg2.Error as error:
            self.fail(0, [f'building the tables failed: {error}'])
        except Mismatch as mismatch:
            self.fail(0, mismatch.args[0])
        return False

    def build(self):
        """Makes the tables afresh and looks at what they hold."""
        if self.session:
            self.session.close()
        rng, want = self.random('schema'), self.fault.want if self.fault else ()
        self.schema = Builder(rng, self.options.version, self.options.plain, want).build()
        self.tables = ['CREATE SCHEMA stamps', 'SET search_path = stamps', *self.schema.statements]
        self.session = connect(self.options.dsn, 'stamps')
        extensions.register_type(extensions.new_type((INTERVAL,), 'AS_PRINTED', lambda value, cursor: value),
                                 self.session)
        cursor = self.session.cursor()
        cursor.execute('SET client_min_messages = warning')
        cursor.execute('SET client_min_messages = error; DROP SCHEMA IF EXISTS stamps CASCADE;'
                       ' SET client_min_messages = warning')
        for sql in self.tables:
            cursor.execute(sql)
        self.generator = Generator(rng, self.schema, self.result.seen, self.options.version)
        self.make_templates(cursor)
        self.context, self.savepoints, self.tokens = Context(), [], set()
        self.history = []
        self.state = self.stored()
        self.base = self.change_base()
        self.compare_managed()
        if self.fault:
            for sql in self.fault.statements(self.schema, rng, declaration):
                cursor.execute(sql)
        self.look_at_clock()
        self.result.seen[self.schema.kind] += 1
        for role in ('version', 'created', 'updated', 'created_by', 'updated_by'):
            column = self.schema.by_role(role)
            if column:
                self.result.seen[f'{role} {column.type.sql}'] += 1
        self.result.seen[f"mode {self.schema.option('version', 'mode', 'auto')}"] += 1

    def make_templates(self, cursor):
        """Prepared statements and functions."""
        for number in range(4):
            try:
                template = self.generator.template(number, number % 2 == 1)
            except Unsure:
                continue
            cursor.execute(template.create())
            self.tables.append(template.create())
            self.generator.templates.append(template)

    # Running

    def item(self, number):
        """Generates and runs one item."""
        self.generator.rng = rng = self.random(number)
        self.context, self.savepoints, self.change = Context(), [], None
        if rng.random() < 0.15:
            self.change_tables(rng)
        before, transaction = self.state, rng.random() < 0.75
        changed = set()
        if transaction:
            self.tell(rng.choice(('BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ')))
            self.context = self.context.but(now=self.scalar("SELECT (extract(epoch FROM now()) * 1000000)::bigint"))
            if rng.random() < 0.15:
                self.become(rng)
        for _ in range(rng.choice((1, 2, 4, 6))):
            if rng.random() < 0.25:
                changed.add(self.set_something(rng, transaction))
            if transaction and rng.random() < 0.2:
                self.savepoint(rng)
            self.step(transaction)
        if transaction:
            self.finish(before, rng.random() < 0.8)
        else:
            for name in sorted(changed):
                self.tell(f'RESET {name}')
        self.context = Context()

    def change_tables(self, rng):
        """DDL, sometimes rolled back after somebody has looked at it."""
        changes = Changes(rng, self.schema)
        made = changes.change()
        if made is None:
            return
        statements, learn, same_columns = made
        if rng.random() < 0.3:
            self.tell('BEGIN')
            for sql in statements:
                self.tell(sql)
            ask(self.session, "UPDATE t SET note = note || ' '")
            self.tell('ROLLBACK')
            self.result.seen['DDL rolled back'] += 1
            return
        if not same_columns:
            for template in self.generator.templates:
                self.tell(template.drop())
            self.generator.templates.clear()
        for sql in statements:
            self.tell(sql)
        learn()
        for sql in changes.restore_view():
            self.tell(sql)
        self.result.seen['DDL'] += 1
        self.tables += self.history
        self.history = []
        if not same_columns:
            self.make_templates(self.session.cursor())
        self.state = self.stored()
        self.base = self.change_base()
        self.compare_managed()

    def compare_managed(self):
        """Compares what orm_ext.managed shows with the declarations."""
        if self.options.plain or self.fault:
            return
        expected = set()
        parent = self.schema.parent
        declared = [*self.schema.declarations, *([('p', parent.stamps)] if parent and parent.managed else [])]
        for table, stamps in declared:
            if table not in ('t', 't_child', 'p'):
                continue
            for role in ROLES:
                if getattr(stamps, role):
                    column = stamps.columns[getattr(stamps, role)]
                    options = sorted(f'{option}={value}' for option, value in stamps.options.items())
                    expected.add((table, role, column.name, stamps.name, 't' if stamps.enabled else 'f',
                                  ' '.join(options)))
        answer = self.read(MANAGED)
        if set(answer.rows) != expected:
            raise Mismatch(['orm_ext.managed differs', *[f'  only there: {row}' for row in set(answer.rows) - expected],
                            *[f'  missing: {row}' for row in expected - set(answer.rows)]])

    def change_base(self):
        """What is added to a transaction's number: enough to exceed all numbers that are there."""
        if self.options.plain or not self.schema.by_role('change_id'):
            return 0
        base = self.scalar('SELECT coalesce(max(base), 0) FROM orm_ext.change_id_base')
        greatest = max((row['change_id'] or 0 for row in self.state.rows.values()), default=0)
        first = base + self.scalar('SELECT pg_current_xact_id()::text::bigint')
        if first <= greatest:
            raise Mismatch([f'new change ids start at {first}, but there is {greatest} already'])
        return base

    def become(self, rng):
        """Another role, or a session like that of a logical replication's apply."""
        what = rng.choice(('ROLE oracle_app', 'SESSION AUTHORIZATION oracle_app', 'session_replication_role = replica'))
        self.tell(f'SET LOCAL {what}')
        self.result.seen[what] += 1
        if 'replica' in what:
            self.context = self.context.but(replica=True)
        else:
            self.context = self.context.but(role='oracle_app')
            if what.startswith('SESSION'):
                self.context = self.context.but(session='oracle_app')

    def set_something(self, rng, transaction):
        """Changes a setting; returns its name."""
        name, value, changes = self.generator.setting(self.state, self.context)
        if transaction and rng.random() < 0.3:
            self.tell(f'SELECT set_config({quote(name)}, {quote(value)}, true)')
        else:
            self.tell(f"SET {'LOCAL ' if transaction else ''}{name} = {quote(value)}")
        self.context = self.context.but(**changes)
        self.result.seen[f'set {name}'] += 1
        return name

    def savepoint(self, rng):
        """SAVEPOINT, ROLLBACK TO or RELEASE."""
        if not self.savepoints or rng.random() < 0.5:
            name = f's{len(self.savepoints)}'
            self.tell(f'SAVEPOINT {name}')
            self.savepoints.append((name, self.state, self.context))
        elif rng.random() < 0.7:
            name, self.state, self.context = self.savepoints[-1]
            self.tell(f'ROLLBACK TO {name}')
            self.compare(self.state, None, self.instants(True))
        else:
            name, _, _ = self.savepoints.pop()
            self.tell(f'RELEASE {name}')

    def finish(self, before, commit):
        """Ends the transaction."""
        if commit:
            self.state = self.state.touched(self.schema, self.context)
        self.tell('COMMIT' if commit else 'ROLLBACK')
        self.context = Context()
        self.compare(self.state if commit else before, None, self.instants(False))
        self.state = self.state.committed()

    def predicted(self):
        """A statement and what the model expects: an Outcome, or an SqlError."""
        for _ in range(ATTEMPTS):
            try:
                statement = self.generator.statement(self.state, self.context)
                try:
                    state = replace(self.state, noting=self.schema.notes_parents(self.context))
                    outcome = statement.apply(state, self.context)
                    if self.context.now is None:
                        outcome.state = outcome.state.touched(self.schema, self.context)
                    return statement, outcome
                except SqlError as error:
                    return statement, error
            except (Unsure, KeyError):
                # Nothing that the model is sure of, or a column that has gone: think of something else.
                continue
        return None, None

    def step(self, transaction):
        """One statement, and all comparisons."""
        statement, expected = self.predicted()
        if statement is None:
            return
        for sql in statement.before:
            self.tell(sql)
        if transaction:
            self.tell('SAVEPOINT guard')
        sql = statement.sql()
        self.history.append(sql + (f'\n{statement.copy}\\.' if statement.copy else ''))
        self.session.notices.clear()
        answer = self.ask(statement, sql)
        if self.options.verbose:
            print(f'{self.history[-1]};\n    -- {answer.describe()}', flush=True)
        self.result.statements[statement.kind] += 1
        if answer.sqlstate == LOST:
            raise Mismatch([LOST, f'  server: {answer.message}'])
        failed = bool(answer.sqlstate)
        if failed and transaction:
            self.tell('ROLLBACK TO guard')
        if transaction:
            self.tell('RELEASE guard')
        for sql in statement.after:
            self.tell(sql)
        before = self.state
        if isinstance(statement, Execute) and not failed:
            statement.template.ran = True
        instants = self.instants(transaction)
        self.verdict(statement, expected, answer)
        if failed:
            self.result.errors[self.kind, answer.sqlstate] += 1
            self.compare(before, None, instants)
        else:
            self.compare(expected.state, (statement, expected, answer), instants)
            if not transaction:
                self.state = self.state.committed()
            if expected.tag.split()[-1] not in ('0', 'DO'):
                self.result.with_rows[statement.kind] += 1
                self.result.touched += int(expected.tag.split()[-1])

    def ask(self, statement, sql):
        """The server's answer."""
        if not statement.copy:
            return ask(self.session, sql)
        cursor = self.session.cursor()
        try:
            cursor.copy_expert(sql, io.StringIO(statement.copy))
            return Answer(f'COPY {cursor.rowcount}', None, [], '', '')
        except psycopg2.Error as error:
            return Answer('', None, [], error.pgcode or LOST, str(error).strip().splitlines()[0])

    def verdict(self, statement, expected, answer):
        """Compares SQLSTATE, tag and warnings."""
        said = f'  server: {answer.describe()}'
        if isinstance(expected, SqlError):
            if answer.sqlstate not in expected.states:
                raise Mismatch([f'{statement.kind}: SQLSTATE should be {expected}', said])
            return
        if answer.sqlstate:
            if answer.sqlstate not in expected.may_fail:
                raise Mismatch([f'{statement.kind}: should succeed with {expected.tag}', said])
            return
        if answer.tag != expected.tag:
            raise Mismatch([f'{statement.kind}: tag should be {expected.tag}', said])
        warned = any(GUARD in notice for notice in self.session.notices)
        if expected.warning is not None and warned != expected.warning:
            raise Mismatch([f"{statement.kind}: there should be {'a' if expected.warning else 'no'} warning", said,
                            *[f'  {notice.strip()}' for notice in self.session.notices]])

    # Looking

    def tell(self, sql):
        """Runs what belongs to the frame; it has to work."""
        self.history.append(sql)
        answer = ask(self.session, sql)
        if answer.sqlstate:
            raise Mismatch([LOST if answer.sqlstate == LOST else 'a command of the frame failed',
                            f'  server: {answer.describe()}'])

    def scalar(self, sql):
        """One number."""
        answer = ask(self.session, sql)
        return int(answer.rows[0][0])

    def look_at_clock(self):
        """Remembers the time, and the number that no transaction has yet."""
        answer = ask(self.session, 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,'
                                   ' pg_current_xact_id_if_assigned()::text,'
                                   ' pg_snapshot_xmax(pg_current_snapshot())::text')
        clock, change, coming = answer.rows[0]
        self.clock, self.next_change = int(clock), int(coming)
        self.change = int(change) if change else None

    def instants(self, transaction):
        """What is known of clocks and numbers since the last look."""
        low, first = self.clock, self.next_change
        self.look_at_clock()
        during = low, self.clock
        if transaction and self.context.now is not None:
            number = (self.base + (self.change or 0),) * 2
            begin = (self.context.now,) * 2
        else:
            number, begin = (self.base + first, self.base + self.next_change - 1), during
        return Instants(begin, during, during, number, during, self.tokens)

    def parse(self, names, values, columns=None):
        """A row of the server as a dict by column key."""
        by_name = {column.name: column for column in (columns or self.schema.columns).values()}
        row = {}
        for column_name, value in zip(names, values):
            if column_name in by_name:
                column = by_name[column_name]
                row[column.key] = column.type.parse(value)
        return row

    def read(self, sql):
        """The answer to a query that has to work."""
        answer = ask(self.session, sql)
        if answer.sqlstate:
            raise Mismatch(['the table cannot be read', f'  server: {answer.describe()}'])
        return answer

    def stored(self):
        """All rows, those deleted included."""
        columns = ', '.join(column.sql for column in self.schema.columns.values())
        marker = self.schema.by_role('marker')
        where = f' WHERE {marker.sql} IS NULL OR {marker.sql} IS NOT NULL' if marker else ''
        answer = self.read(f'SELECT tableoid::regclass::text, {columns} FROM t{where}')
        rows = [dict(self.parse(answer.columns[1:], values[1:]), leaf=values[0], own=False) for values in answer.rows]
        if len({row['id'] for row in rows}) < len(rows):
            raise Mismatch(['two rows have one id'])
        parents = []
        if self.schema.parent:
            answer = self.read('SELECT * FROM p')
            parents = [dict(self.parse(answer.columns, values, self.schema.parent.columns), own=False)
                       for values in answer.rows]
        # In the order of their keys, so that choices among them can be repeated.
        rows.sort(key=lambda row: row['id'])
        parents.sort(key=lambda row: row['id'])
        return State({row['id']: row for row in rows}, {row['id']: row for row in parents})

    def compare(self, expected, told, instants):
        """Compares all rows with the model's, and takes over what the model could not know."""
        actual, lines = self.stored(), []
        rows = self.adopt('row', expected.rows, actual.rows, self.schema.columns, instants, lines)
        parents = {}
        if self.schema.parent:
            parents = self.adopt('parent', expected.parents, actual.parents, self.schema.parent.columns, instants,
                                 lines)
        if told:
            lines += self.compare_returning(*told, rows)
        if lines:
            raise Mismatch(['the table differs from the model' if told else 'the table is not as it was', *lines])
        for row in rows.values():
            for column in self.schema.columns.values():
                if column.type.family == 'uuid' and column.role == 'version' and row[column.key]:
                    self.tokens.add(row[column.key])
        self.state = State(rows, parents, expected.noted)

    def adopt(self, title, expected, actual, columns, instants, lines):
        """The rows with the model's own values replaced by the table's; adds lines about what differs."""
        for key in sorted(set(expected) ^ set(actual)):
            lines.append(f"  {title} {key} should{' not' if key in actual else ''} be there")
        adopted = {}
        for key in sorted(set(expected) & set(actual)):
            lines += self.differences(f'{title} {key}', expected[key], actual[key], columns, instants)
            adopted[key] = dict(actual[key], own=expected[key]['own'])
        return adopted

    def differences(self, title, expected, actual, columns, instants):
        """Lines about columns that are not as expected."""
        lines = []
        if expected.get('leaf') != actual.get('leaf'):
            lines.append(f"  {title} should be in {expected['leaf']}, not in {actual['leaf']}")
        for key, column in columns.items():
            reason = problem(expected[key], actual[key], instants)
            if reason:
                shown = column.type.text(actual[key]) if actual[key] is not None else 'NULL'
                lines.append(f'  {title}: {column.name} = {shown[:60]} ({actual[key]!r:.60}) {reason:.200}')
        return lines

    def compare_returning(self, statement, outcome, answer, adopted):
        """Lines about RETURNING, or about what a SELECT around it gave."""
        lines = []
        if outcome.rows is None:
            if outcome.answer and isinstance(outcome.answer[0], tuple) and answer.rows != outcome.answer:
                lines.append(f'  answer should be {outcome.answer}, not {answer.rows}')
            if outcome.answer and isinstance(outcome.answer[0], dict):
                row = outcome.answer[0]
                shown = json.loads(answer.rows[0][0])
                lines += self.compare_json(shown, row if statement.changes is None else adopted[row['id']])
            return lines
        removed = {row['id']: row for row in outcome.rows} if answer.tag.startswith('DELETE') else adopted
        expected_keys = sorted(row['id'] for row in outcome.rows)
        returned = [self.parse(answer.columns, values) for values in answer.rows]
        if sorted(row['id'] for row in returned) != expected_keys:
            return [f"  RETURNING has ids {sorted(row['id'] for row in returned)}, not {expected_keys}"]
        for row in returned:
            expected = removed[row['id']]
            for key, value in row.items():
                if value != expected[key]:
                    lines.append(f"  RETURNING of row {row['id']}: {key} = {value!r:.60}, not {expected[key]!r:.60}")
        self.result.rows += len(returned)
        return lines


    def compare_json(self, shown, row):
        """Lines about a row as jsonb."""
        lines = []
        for key, column in self.schema.columns.items():
            if column.name not in shown:
                lines.append(f'  the answer has no {column.name}')
            elif column.type.family not in ('other', 'big'):
                value = shown[column.name]
                if column.type.is_time and value is not None:
                    value = column.type.parse(value)
                if value != row[key]:
                    lines.append(f'  the answer has {column.name} = {value!r:.60}, not {row[key]!r:.60}')
        return lines
