"""A unit of work: one random table on both sides, one session, and a row of batches.

Each batch is written by hand into the twin, and goes through every door that it fits, each time from
the same rows.  All of it happens in one transaction, so that clocks agree, or, sometimes, through one
door without a transaction.  The rows, what triggers saw, what was told, and how far sequences went
have to be the same.  Then the twin gets the rows of the other side.
"""

from collections import Counter
import json
import random

import psycopg2

from twin.compare import connect, LOST
from twin.unit import Mismatch, Result

from .batch import Generator
from .byhand import ByHand, Unsure
from .ddl import Changes
from .doors import Door, LAST, Outcome, Session
from .kinds import literal, quote, SCHEMA, SETUP
from .schema import Builder, DEAD, SIDES

ITEMS = 8
LEVELS = ('', ' ISOLATION LEVEL REPEATABLE READ', ' ISOLATION LEVEL SERIALIZABLE')
HIDDEN = {'42501', '23505'}
VARYING = '#'               # in the place of what each side makes up


class Unit:
    """Builds the tables of one unit and runs its items."""

    def __init__(self, kind, number, options, fault=None):
        self.kind = kind
        self.number = number
        self.options = options
        self.fault = fault
        self.result = Result()
        self.table = self.session = None
        self.item_number = 0
        self.transaction = True
        self.level = ''
        self.quiet = False          # is the trigger that makes statements necessary off?
        self.role = False
        self.before = []            # rows
        self.next_values = {}       # of sequences

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs the items first..last; stops where the session is lost."""
        try:
            self.build()
        except (psycopg2.Error, Mismatch) as error:
            self.fail(0, [f'building the tables failed: {error}'])
            return self.result
        for number in range(first, last):
            try:
                self.item(number)
                self.result.passed += 1
            except Unsure:
                self.result.seen['left open by the contract'] += 1
                self.session.run('ROLLBACK')
                self.session.run('RESET ROLE')
                self.synchronize()
                self.result.passed += 1
            except Mismatch as mismatch:
                self.fail(number, mismatch.args[0])
                break
            except psycopg2.Error as error:
                self.fail(number, [f'{error.pgcode or LOST}: {error}', *self.prologue()])
                break
        self.session.connection.close()
        return self.result

    def fail(self, number, lines):
        """Keeps a failure with all that is needed to repeat it."""
        repeat = (f'repeat with: test/oracle/run --seed {self.options.seed}'
                  f' --repeat {self.kind}:{self.number}:{number}' + (' --plain' if self.options.plain else ''))
        self.result.failures.append('\n'.join([f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}',
                                               *lines[1:], f'  {repeat}']))

    # Setting up

    def build(self):
        """Makes both sides afresh, and some rows."""
        rng = self.random('schema')
        self.table = Builder(rng, self.options.plain, self.fault.want if self.fault else ()).build()
        self.session = Session(connect(self.options.dsn, f'public, {SCHEMA}'))
        self.session.run(f"DROP SCHEMA IF EXISTS {', '.join(SIDES)}, {SCHEMA} CASCADE")
        # Names are PostgreSQL's own, whatever convention other units have left in the database.
        self.session.run('SET orm_ext.naming_fill = off; SET orm_ext.naming_check = off')
        for sql in (*SETUP, f'SET search_path = public, {SCHEMA}', *self.table.on_side('twin'),
                    *self.table.on_side('bulk')):
            self.session.run(sql)
        for _ in range(rng.choice((0, 3, 8, 15))):
            self.first_row(rng)
        self.synchronize()
        self.quiet = False
        if self.fault:
            for sql in self.fault.statements(self.table):
                self.session.run(sql)
        for feature in ('logged', 'transitions', 'tidy', 'refusing', 'partitioned', 'rls', 'stamps', 'marker'):
            value = getattr(self.table, feature)
            if value:
                self.result.seen[f'table: {feature}{f" {value}" if isinstance(value, str) else ""}'] += 1

    def first_row(self, rng):
        """One row, unless the table does not take it."""
        row = {}
        generator = Generator(rng, self.table, [])
        for column in self.table.columns:
            if not column.generated and not (column.has_default and rng.random() < 0.7):
                row[column.name] = generator.fresh_value(column)
        if self.table.marker and rng.random() < 0.4:
            row[self.table.marker.name] = rng.choice(DEAD[self.table.marker.kind.sql])
        row = {column: value for column, value in row.items()
               if not (self.table.column(column).varies == 'sequence' and value is None)
               and not (value is None and self.table.column(column).fills_nulls)}
        columns = ', '.join(self.table.column(column).sql for column in row)
        values = ', '.join(literal(value) for value in row.values())
        self.session.attempt(f"INSERT INTO bulk.{self.table.sql} ({columns}) VALUES ({values})")

    def synchronize(self):
        """Gives the twin the rows of the other side, and forgets what triggers saw."""
        table = self.table
        columns = ', '.join(column.sql for column in table.columns if not column.generated)
        for sql in ('BEGIN', 'SET LOCAL session_replication_role = replica', f'TRUNCATE twin.{table.sql}',
                    f'INSERT INTO twin.{table.sql} ({columns}) OVERRIDING SYSTEM VALUE'
                    f' SELECT {columns} FROM bulk.{table.sql}{self.everything()}',
                    *([f'TRUNCATE {side}.log' for side in SIDES] if table.logged else []), 'COMMIT'):
            self.session.run(sql)

    def everything(self):
        """A condition that asks for deleted rows, too."""
        marker = self.table.marker
        return f' WHERE {marker.sql} IS NULL OR {marker.sql} IS NOT NULL' if marker else ''

    # Looking

    def rows(self, side):
        """All rows of a side as dicts of text."""
        columns = ', '.join(f'{column.sql}::text' for column in self.table.columns)
        names = ['', *(column.name for column in self.table.columns)]
        rows = self.session.rows(f'SELECT tableoid::regclass::text, {columns} FROM {side}.{self.table.sql}'
                                 f'{self.everything()}')
        return [dict(zip(names, (row[0].split('.')[-1], *row[1:]))) for row in rows]

    def sequence(self, side, column):
        """A sequence's name as a literal."""
        found = self.session.rows(f'SELECT pg_get_serial_sequence('
                                  f'{quote(f"{side}.{self.table.sql}")}, {quote(column.name)})')
        return quote(found[0][0])

    def look_at_sequences(self, side):
        """How far the sequences are, by column."""
        values = {}
        for column in self.table.sequences():
            name = self.sequence(side, column)[1:-1].replace("''", "'")
            last, called = self.session.rows(f'SELECT last_value, is_called FROM {name}')[0]
            values[column.name] = int(last) + (called in (True, 't', 'true'))
        return values

    def set_sequences(self, side):
        """Puts the sequences of a side where they were before."""
        for column in self.table.sequences():
            self.session.run(f'SELECT setval({self.sequence(side, column)}, {self.next_values[column.name]}, false)')

    def seen_by_triggers(self, side, masks):
        """What triggers noted, as a counter."""
        if not self.table.logged:
            return Counter()
        rows = self.session.rows(f'SELECT what, old::text, new::text FROM {side}.log')
        return Counter((what, self.blurred(old, masks), self.blurred(new, masks)) for what, old, new in rows)

    def blurred(self, text, masks):
        """A row as JSON without what each side makes up."""
        if text is None:
            return None
        row = json.loads(text)
        for column in row:
            row[column] = self.masked(column, None if row[column] is None else str(row[column]), masks)
        return json.dumps(row, sort_keys=True)

    def masks(self, batch):
        """By column, the values that are known; others are made up by the side."""
        known = {}
        for column in self.table.columns:
            if column.varies in ('sequence', 'call') or not self.transaction and (
                    column.varies or column.role in ('created', 'updated') and column.kind.sql != 'text'):
                known[column.name] = {row[column.name] for row in self.before} | {
                    row[column.name] for row in batch.rows if column.name in row}
        return known

    @staticmethod
    def masked(column, value, masks):
        """A value, or a sign that the side has made it up."""
        if value is None or column not in masks or value in masks[column]:
            return value
        return VARYING

    def contents(self, side, masks):
        """The rows of a side as a counter."""
        return Counter(tuple((column, self.masked(column, value, masks)) for column, value in row.items())
                       for row in self.rows(side))

    # Running

    def item(self, number):
        """Generates and runs one batch."""
        rng = self.random(number)
        self.item_number = number
        if rng.random() < 0.12:
            self.change(rng)
        self.before = sorted(self.rows('bulk'), key=lambda row: [str(value) for value in row.values()])
        self.next_values = self.look_at_sequences('bulk')
        batch = Generator(rng, self.table, self.before, self.fault.batch if self.fault else '').batch()
        self.transaction = rng.random() < 0.85
        self.role = rng.random() < (0.7 if self.table.rls else 0.15)
        self.level = rng.choices(LEVELS, (5, 1, 1))[0]
        if batch.key is None and not batch.refused:
            batch.refused = '42P10'
        doors = batch.doors()
        if batch.refused:
            # Without a key the setting leaves COPY alone.
            doors = [door for door in doors if door != 'copy by setting']
        rng.shuffle(doors)
        if not self.transaction:
            doors = doors[:1]
        if not doors:
            return
        self.note(batch, doors)
        self.write(batch, doors, rng)
        self.synchronize()

    def change(self, rng):
        """DDL on both sides."""
        statements = Changes(rng, self.table).change()
        self.table.statements += statements
        for side in SIDES:
            for sql in statements:
                self.session.run(sql.replace('{s}', side))
        if statements:
            self.result.seen['tables were changed'] += 1

    @property
    def limited(self):
        """Whether row-level security holds."""
        return self.role and self.table.rls

    def note(self, batch, doors):
        """Counts what the batch has of interest."""
        seen = self.result.seen
        seen[f'shape {batch.shape}'] += 1
        for option, value in batch.given().items():
            seen[f'{option} {value}' if option.startswith('on_') else option] += 1
        for door in doors:
            self.result.statements[door] += 1
        if batch.wrong:
            seen['wrong value'] += 1
        if not self.transaction:
            seen['without a transaction'] += 1
        if self.role:
            seen[f"as a role with few privileges{' and row-level security' * self.table.rls}"] += 1
        if batch.key:
            for feature in ('not_distinct', 'live'):
                if getattr(batch.key, feature):
                    seen[f'key: {feature}'] += 1
            seen['key: expression'] += not batch.key.plain
            seen['key: partial'] += bool(batch.key.predicate and not batch.key.live)

    def write(self, batch, doors, rng):
        """The twin by hand, then all doors."""
        masks = self.masks(batch)
        if self.transaction:
            self.session.run(f'BEGIN{self.level}')
        expected = self.by_hand(batch, masks)
        if self.transaction and not expected.outcome.states and self.may_differ_in_steps(expected) \
                and rng.random() < 0.5:
            self.one_by_one(batch, masks, expected)
        for door in doors:
            self.door(door, batch, masks, expected, door == doors[-1])
        if self.transaction:
            self.session.run('COMMIT')
        for title, count in (expected.outcome.counts or {}).items():
            self.result.with_rows[title] += count
            self.result.touched += count if title in ('inserted', 'updated') else 0
        for state in expected.outcome.states:
            self.result.errors['upsert', state] += 1

    def by_hand(self, batch, masks):
        """What is to come of the batch."""
        if batch.refused:
            states = {batch.refused} | (set() if batch.key else {'42P10'})
            return Expected(Outcome(states, 'the options are refused'), self.contents('bulk', masks))
        self.begin('twin')
        hand = ByHand(self.session, self.table, batch, self.limited)
        outcome = hand.run('input, keyed ones first' if self.table.marker else 'input')
        self.session.run('RESET ROLE')
        expected = Expected(outcome, self.contents('twin', masks), self.seen_by_triggers('twin', masks),
                            self.advances('twin'), hand)
        self.undo()
        if outcome.states:
            expected.contents, expected.noted, expected.advances = self.contents('bulk', masks), Counter(), {}
        return expected

    def begin(self, side):
        """Something that will be undone: sequences of a side where they were, the role that the item wants."""
        self.session.run('SAVEPOINT hand' if self.transaction else 'BEGIN')
        self.set_sequences(side)
        if self.role:
            self.session.run('SET LOCAL ROLE oracle_app')

    def undo(self):
        """What began is undone."""
        self.session.run('ROLLBACK TO hand' if self.transaction else 'ROLLBACK')

    def may_differ_in_steps(self, expected):
        """Whether nobody sees that rows of one key were written one by one."""
        table = self.table
        if not expected.hand or not expected.hand.folded or table.stamps or table.logged or table.tidy \
                or table.refusing or table.marker or self.limited:
            return False
        return expected.hand.batch.on_duplicate == 'last' and not expected.hand.batch.version

    def one_by_one(self, batch, masks, expected):
        """Without putting rows of one key together first, the twin is to look the same."""
        self.begin('twin')
        outcome = ByHand(self.session, self.table, batch, self.limited).run('one by one')
        self.session.run('RESET ROLE')
        contents = self.contents('twin', masks)
        self.undo()
        self.result.seen['written one by one, too'] += 1
        if not outcome.states and contents != expected.contents:
            raise Mismatch(['rows written one by one give something else', *self.prologue(),
                            *self.difference(expected.contents, contents)])

    def advances(self, side):
        """How many values were taken from each sequence."""
        return {column: value - self.next_values[column] for column, value in self.look_at_sequences(side).items()}

    def door(self, title, batch, masks, expected, last):
        """One door, from the same rows; the last one's work is kept."""
        rng = self.random(self.item_number, title)
        door = Door(title, self.table, self.fault.spoil(batch, rng) if self.fault else batch, rng)
        self.set_sequences('bulk')
        if rng.random() < 0.2:
            self.switch_way()
        if self.transaction:
            self.session.run('SAVEPOINT door')
        statement = door.statement(self.session)
        if self.role:
            self.session.run('SET ROLE oracle_app')
        if self.options.plain:
            outcome = self.plain_outcome(door.batch)
        else:
            outcome = self.session.call(statement, self.table)
        if outcome.states and self.transaction:
            self.session.run('ROLLBACK TO door')
        if self.role:
            self.session.run('RESET ROLE')
        if self.fault:
            self.fault.after(self, outcome)
        if LOST in outcome.states:
            raise Mismatch([f'{LOST} ({title})', *self.prologue(), outcome.sql, f'  {outcome.message}'])
        actual = Expected(outcome, self.contents('bulk', masks), self.seen_by_triggers('bulk', masks),
                          self.advances('bulk'))
        if self.options.verbose:
            print(f'{outcome.sql}\n    -- {title}: {outcome.describe()}\n    -- by hand:'
                  f' {expected.outcome.describe()}', flush=True)
        lines = self.compare(batch, expected, actual, masks)
        if lines and expected.hand and (expected.outcome.states | outcome.states) & {'23505'}:
            # Which of several rows is in the way of another may depend on the order.
            lines = self.in_other_orders(batch, masks, actual)
        if lines:
            raise Mismatch([f'{lines[0]} ({title})', *self.prologue(), '-- the batch', outcome.sql,
                            f'-- the door: {outcome.describe()}', '-- by hand:',
                            *(f'--   {sql};' for sql in (expected.hand.written if expected.hand else ())),
                            f'-- by hand: {expected.outcome.describe()}', *lines[1:]])
        if self.transaction and not last and not outcome.states:
            self.session.run('ROLLBACK TO door')
        self.result.rows += len(outcome.results or ())

    def switch_way(self):
        """Has rows written directly, or by a statement: a trigger that does nothing makes the difference."""
        self.quiet = not self.quiet
        self.session.run(f"ALTER TABLE bulk.{self.table.sql} {'DISABLE' if self.quiet else 'ENABLE'} TRIGGER quiet")

    def plain_outcome(self, batch):
        """In the place of a door: the same by hand, so that only the generators are tested."""
        if batch.refused:
            return Outcome({batch.refused})
        if not self.transaction:
            self.session.run('BEGIN')
        outcome = ByHand(self.session, self.table, batch, self.limited, 'bulk').run()
        outcome.message = ''
        if outcome.counts:
            outcome.counts = {f'last {title}': count for title, count in outcome.counts.items()}
        if not self.transaction:
            self.session.run('ROLLBACK' if outcome.states else 'COMMIT')
        return outcome

    def in_other_orders(self, batch, masks, actual):
        """The comparison once more, with the rows written in other orders."""
        lines = []
        for order in ('key', 'key, keyed ones last', 'input'):
            self.begin('twin')
            hand = ByHand(self.session, self.table, batch, self.limited)
            outcome = hand.run(order)
            self.session.run('RESET ROLE')
            expected = Expected(outcome, self.contents('twin', masks), self.seen_by_triggers('twin', masks),
                                self.advances('twin'), hand)
            self.undo()
            if outcome.states:
                expected.contents, expected.noted = actual.contents, actual.noted
            lines = self.compare(batch, expected, actual, masks)
            if not lines:
                self.result.seen[f'right in the order of {order}'] += 1
                break
        return lines

    # Comparing

    def compare(self, batch, expected, actual, masks):
        """What differs, as lines."""
        hand, door = expected.outcome, actual.outcome
        if hand.states or door.states:
            allowed = set(hand.states)
            if self.limited and allowed & HIDDEN:
                # A row that is there but is not to be seen.
                if batch.on_conflict == 'nothing' and not door.states:
                    raise Unsure
                allowed |= {'42501', '23505', '23502', '23514', '428C9'}
            if not hand.states:
                if self.limited and door.states <= {'42501', '428C9'} and 'unchanged' in hand.actions:
                    # To be read, and not to be updated.
                    raise Unsure
                return [f'should succeed, but there is {door.describe()}']
            if not door.states & allowed:
                return [f"should fail with {' or '.join(sorted(allowed))}, but there is {door.describe()}"]
            if actual.contents != expected.contents:
                return ['something was written in spite of the error',
                        *self.difference(expected.contents, actual.contents)]
            return []
        lines = self.compare_counts(hand, door)
        if door.message:
            lines.append(f'  {door.message}')
        if door.actions is not None and door.actions != hand.actions:
            lines.append(f'  actions are {door.actions}, not {hand.actions}')
        if actual.contents != expected.contents:
            lines += ['  the rows differ:', *self.difference(expected.contents, actual.contents)]
        if actual.advances != expected.advances:
            lines.append(f'  sequences went on by {actual.advances}, not {expected.advances}')
        lines += self.compare_results(hand, door, masks)
        lines += self.compare_notes(expected, actual)
        return ['the door differs from what was written by hand', *lines] if lines else []

    @staticmethod
    def compare_counts(hand, door):
        """Lines about counts."""
        lines = []
        for title in LAST:
            for told in (title, f'last {title}'):
                if told in door.counts and door.counts[told] != hand.counts[title]:
                    lines.append(f'  {told} is {door.counts[told]}, not {hand.counts[title]}')
        return lines

    def compare_notes(self, expected, actual):
        """Lines about triggers: by hand nothing is inserted that is there, and statements are many."""
        if not self.table.logged:
            return []
        lines, noted = [], {}
        for side, notes in (('by hand', expected.noted), ('door', actual.noted)):
            noted[side] = Counter({note: count for note, count in notes.items()
                                   if 'STATEMENT' not in note[0] and note[0] != 'BEFORE INSERT ROW'})
        if noted['by hand'] != noted['door']:
            lines += ['  triggers saw something else:', *self.difference(noted['by hand'], noted['door'])]
        counts = Counter()
        for (what, _, _), count in actual.noted.items():
            counts[what] += count
        totals = expected.outcome.counts
        fired = counts['BEFORE INSERT ROW']
        if self.options.plain:
            return lines
        if not totals['inserted'] <= fired <= totals['inserted'] + totals['updated']:
            lines.append(f'  BEFORE INSERT ROW triggers fired {fired} times')
        if totals['inserted'] and not counts['AFTER INSERT STATEMENT'] == counts['BEFORE INSERT STATEMENT'] == 1:
            lines.append(f"  AFTER INSERT STATEMENT triggers fired {counts['AFTER INSERT STATEMENT']} times, BEFORE"
                         f" {counts['BEFORE INSERT STATEMENT']}")
        if totals['updated'] and not 1 <= counts['AFTER UPDATE STATEMENT'] <= 1 + totals['revived']:
            lines.append(f"  AFTER UPDATE STATEMENT triggers fired {counts['AFTER UPDATE STATEMENT']} times")
        return lines

    def compare_results(self, hand, door, masks):
        """Lines about rows that are returned; of duplicates and deleted rows none has to be."""
        lines = []
        for number, (expected, result) in enumerate(zip(hand.results, door.results or ())):
            if self.blurred(expected, masks) != self.blurred(result, masks) and expected is not None:
                lines.append(f'  the result of row {number + 1} is {result}, not {expected}')
        return lines

    @staticmethod
    def difference(expected, actual, limit=6):
        """Rows of one side alone, as lines."""
        lines = []
        for title, rows in (('only by hand', expected - actual), ('only through the door', actual - expected)):
            for row in sorted(rows.elements(), key=repr)[:limit]:
                shown = dict(row) if row and isinstance(row[0], tuple) else row
                lines.append(f'    {title}: {shown}')
        return lines

    # Reporting

    def prologue(self):
        """SQL that makes the tables and the rows that were there."""
        lines = [f'{sql};' for sql in (*SETUP, f'SET search_path = public, {SCHEMA}', *self.table.on_side('bulk'),
                                       'SET session_replication_role = replica')]
        columns = [column for column in self.table.columns if not column.generated]
        names = ', '.join(column.sql for column in columns)
        for row in self.before:
            values = ', '.join(literal(row[column.name]) for column in columns)
            lines.append(f'INSERT INTO bulk.{self.table.sql} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values});')
        lines.append('SET session_replication_role = origin;')
        for column in self.table.sequences():
            lines.append(f"SELECT setval(pg_get_serial_sequence({quote(f'bulk.{self.table.sql}')},"
                         f' {quote(column.name)}), {self.next_values.get(column.name, 1)}, false);')
        if self.quiet:
            lines.append(f'ALTER TABLE bulk.{self.table.sql} DISABLE TRIGGER quiet;')
        return lines + (['SET ROLE oracle_app;'] if self.role else [])


class Expected:
    """An outcome with the rows that go with it."""

    def __init__(self, outcome, contents, noted=None, advances=None, hand=None):
        self.outcome = outcome
        self.contents = contents
        self.noted = noted or Counter()
        self.advances = advances or {}
        self.hand = hand
