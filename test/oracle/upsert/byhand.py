"""The same batch as SQL written by hand: for each row a SELECT of its key, then a plain INSERT or UPDATE.

What is decided on the way is what bulk upsert has to report; what errors are met are what it may
fail with.
"""

from dataclasses import dataclass, replace

import psycopg2

from .doors import Outcome
from .kinds import literal
from .schema import ALIVE


class Unsure(Exception):
    """The contract leaves open what has to happen."""


@dataclass
class Group:
    """Rows of the batch that mean the same row of the table."""

    numbers: list               # from 0
    rank: int = 0               # in the order of the key
    keyed: bool = True          # may there be such a row?
    decisive: int = 0           # the number that decides

ORDERS = {
    'input': lambda group: group.decisive,
    'one by one': lambda group: group.decisive,
    # A row that is given as deleted is not to be the one that another row finds.
    'input, keyed ones first': lambda group: (not group.keyed, group.decisive),
    'key': lambda group: (not group.keyed, group.rank),
    'key, keyed ones last': lambda group: (group.keyed, group.rank),
}


class ByHand:
    """Writes one batch."""

    def __init__(self, session, table, batch, limited, side='twin'):
        self.session = session
        self.limited = limited      # by row-level security
        self.table = table
        self.batch = replace(batch, rows=[self.known(table, row) for row in batch.rows])
        self.target = f'{side}.{table.sql}'
        self.settable = batch.settable(table) if batch.key else set()
        self.outcome = Outcome(actions=['?'] * len(batch.rows), results=[None] * len(batch.rows))
        self.written = []           # as SQL
        self.folded = False         # were there duplicates?
        self.row = None             # as it is after all, as JSON

    @staticmethod
    def known(table, row):
        """The row without nulls for what a stamp trigger keeps: they count as absent."""
        kept = {column.name for column in table.stamps.values()}
        return {column: value for column, value in row.items() if value is not None or column not in kept}

    def run(self, order='input'):
        """Writes all rows; needs a transaction, whose savepoint `row` it uses."""
        groups = self.groups()
        if order == 'one by one':
            groups = [Group([number], 0, group.keyed, number) for group in groups for number in group.numbers]
        groups.sort(key=ORDERS[order])
        # As in one statement, whose end they wait for.
        deferrable = any(key.deferrable for key in self.table.keys)
        if deferrable:
            self.session.run('SET CONSTRAINTS ALL DEFERRED')
        for group in groups:
            self.attempt(lambda group=group: self.write(group))
        if deferrable:
            self.attempt(lambda: self.session.run('SET CONSTRAINTS ALL IMMEDIATE'))
        if not self.outcome.states:
            self.count()
        return self.outcome

    def attempt(self, work):
        """Does something in a savepoint; an error is kept, and the others go on."""
        self.session.run('SAVEPOINT row')
        try:
            work()
            self.session.run('RELEASE row')
            return True
        except psycopg2.Error as error:
            self.fail(error.pgcode, str(error).strip().splitlines()[0])
            self.session.run('ROLLBACK TO row')
            return False

    def fail(self, state, message):
        """Keeps an error."""
        self.outcome.states.add(state)
        self.outcome.message = self.outcome.message or message

    def count(self):
        """The counts that go with the actions."""
        actions = self.outcome.actions
        self.outcome.counts = {
            'inserted': actions.count('inserted'), 'updated': actions.count('updated') + actions.count('revived'),
            'unchanged': actions.count('unchanged'),
            'skipped': sum(actions.count(action) for action in ('skipped', 'stale', 'duplicate')),
            'input': len(actions), 'revived': actions.count('revived'), 'stale': actions.count('stale'),
            'duplicates': actions.count('duplicate')}

    @property
    def first_wins(self):
        """Whether the first row of a key decides: what comes later meets a row that is there."""
        return self.batch.on_duplicate == 'first' or self.batch.on_conflict == 'nothing'

    # Which rows are meant

    def source(self, row):
        """The row as a sub-query, with what a new row would have where nothing is given."""
        items = []
        for column in self.table.columns:
            if column.generated:
                continue
            if column.name in row:
                value = column.kind.typed(row[column.name])
            elif column.default and not column.varies:
                value = f'CAST({column.default} AS {column.kind.sql})'
                value += f' COLLATE {column.kind.collation}' if column.kind.collation else ''
            else:
                value = column.kind.typed(None)
            items.append(f'{value} AS {column.sql}')
        generated = ''.join(f', ({column.generated}) AS {column.sql}' for column in self.table.columns
                            if column.generated)
        return f"SELECT *{generated} FROM (SELECT {', '.join(items)}) AS given"

    def has_key(self, row):
        """Whether the key is known before the row is written."""
        return not any(column.varies and column.name not in row for column in self.batch.key.columns)

    def convertible(self, number):
        """Whether all values are of their types; an error is kept."""
        row = self.batch.rows[number]
        for column, value in row.items():
            kind = self.table.column(column).kind
            if self.table.column(column).generated:
                # Refused with the statement, whatever becomes of the row.
                self.fail('428C9', 'a generated column was given')
                return False
            if value is not None and kind.length and len(value) > kind.length:
                self.fail('22001', f'too long: {value}')
                return False
        return self.attempt(lambda: self.session.rows(self.source(row)))

    def groups(self):
        """The rows by key; there are more groups than keys where nulls differ."""
        numbers = [number for number in range(len(self.batch.rows)) if self.convertible(number)]
        if not numbers:
            return []
        key, made = self.batch.key, {}
        parts = [part.format(p='r.') for part in key.parts]
        lacking = ' OR '.join(f'({part}) IS NULL' for part in parts)
        if key.not_distinct:
            lacking = 'false'
        inside = (key.predicate or 'true').format(p='r.')
        union = ' UNION ALL '.join(
            f"SELECT {number} AS ordinal, {self.has_key(self.batch.rows[number])} AS known, x.*"
            f' FROM ({self.source(self.batch.rows[number])}) AS x' for number in numbers)
        rows = self.session.rows(
            f'SELECT ordinal, keyed, min(ordinal) OVER (PARTITION BY keyed, {self.places(parts)}) AS first,'
            f' row_number() OVER (ORDER BY {self.places(parts)}, ordinal) FROM (SELECT ordinal,'
            f" known AND NOT ({lacking}) AND coalesce({inside}, false) AS keyed,"
            f" {', '.join(f'{part} AS part_{place}' for place, part in enumerate(parts))} FROM ({union}) AS r) AS keys"
            ' ORDER BY ordinal')
        for ordinal, keyed, first, rank in rows:
            number, keyed = int(ordinal), keyed in (True, 't', 'true')
            first = int(first) if keyed else number
            made.setdefault((keyed, first), Group([], int(rank), keyed)).numbers.append(number)
        groups = list(made.values())
        self.folded = any(len(group.numbers) > 1 for group in groups)
        if self.folded and self.batch.on_duplicate == 'error':
            self.fail('21000', 'two rows have one key')
        for group in groups:
            group.decisive = group.numbers[0 if self.first_wins else -1]
        return groups

    @staticmethod
    def places(parts):
        """Names of the key's parts in the query of groups()."""
        return ', '.join(f'part_{place}' for place in range(len(parts)))

    def same_key(self):
        """The condition that a row t has the key of r."""
        word = 'IS NOT DISTINCT FROM' if self.batch.key.not_distinct else '='
        conditions = [f"{part.format(p='t.')} {word} {part.format(p='r.')}" for part in self.batch.key.parts]
        if self.batch.key.predicate and not self.batch.key.live:
            conditions.append(self.batch.key.predicate.format(p='t.'))
        return ' AND '.join(f'({condition})' for condition in conditions)

    # What becomes of them

    def write(self, group):
        """One group."""
        batch, numbers = self.batch, group.numbers
        rows = [batch.rows[number] for number in numbers]
        decisive = group.decisive
        for number in numbers:
            self.outcome.actions[number] = 'duplicate'
        if self.first_wins:
            rows = rows[:1]
        found = group.keyed and self.find(rows)
        if found:
            action = self.meet(rows, found)
        else:
            self.row = None
            action = group.keyed and self.table.marker and self.deleted(rows)
            if not action:
                self.insert(self.unite(rows))
                action = 'inserted'
        if self.row is None and action in ('inserted', 'updated', 'revived'):
            # A trigger did not let it in, or a policy, which UPDATE does not mention but ON CONFLICT does.
            action = 'skipped'
            if self.limited:
                self.fail('42501', 'a row is not to be updated')
        self.outcome.actions[decisive] = action
        for number in numbers:
            self.outcome.results[number] = self.row

    def unite(self, rows):
        """What a group gives, as if its rows came one after another: later ones update what the first one gave."""
        united = dict(rows[0])
        for row in rows[1:]:
            united.update({column: value for column, value in row.items() if column in self.settable})
        # The version is the last row's, given or not.
        united.pop(self.batch.version, None)
        if self.batch.version in rows[-1]:
            united[self.batch.version] = rows[-1][self.batch.version]
        return united

    def find(self, rows):
        """The live row of the key: place, columns that differ, whether its version is the given one."""
        given = self.unite(rows)
        columns = [column for column in given if column in self.settable]
        version = self.batch.version if given.get(self.batch.version) is not None else None
        flags = [f'ROW(t.{self.column(column).sql})::record *= ROW(r.{self.column(column).sql})::record'
                 for column in columns]
        fits = f't.{self.column(version).sql} IS NOT DISTINCT FROM r.{self.column(version).sql}' if version else 'true'
        rows = self.session.rows(
            f"SELECT t.tableoid::text, t.ctid::text, to_jsonb(t)::text, {fits}{''.join(f', {flag}' for flag in flags)}"
            f' FROM {self.target} AS t, ({self.source(given)}) AS r'
            f" WHERE {self.same_key()} AND {self.table.alive('t.')}")
        if not rows:
            return None
        if len(rows) > 1:
            raise Unsure
        place, fits, flags = rows[0][:2], is_true(rows[0][3]), rows[0][4:]
        self.row = rows[0][2]
        return place, fits, {column: given[column] for column in columns}, \
            [column for column, flag in zip(columns, flags) if not is_true(flag)]

    def meet(self, rows, found):
        """A row that is there."""
        place, fits, given, changed = found
        if self.batch.on_conflict == 'nothing':
            return 'skipped'
        if not fits:
            return 'stale'
        if not changed:
            return 'unchanged'
        self.update(place, given)
        return 'updated'

    def deleted(self, rows):
        """A deleted row of the key, where that matters; None if there is none."""
        marker, given = self.table.marker, self.unite(rows)
        dead = self.session.rows(
            f'SELECT t.tableoid::text, t.ctid::text, rank() OVER (ORDER BY t.{marker.sql} DESC)'
            f' FROM {self.target} AS t, ({self.source(given)}) AS r'
            f" WHERE {self.same_key()} AND NOT ({self.table.alive('t.')})")
        last = [row for row in dead if int(row[2]) == 1]
        if not dead or self.batch.on_deleted == 'insert' and (
                self.batch.key.live or self.batch.on_conflict == 'update'):
            return None
        if self.batch.on_deleted == 'insert':
            # A key over all rows: whether DO NOTHING means deleted ones, too, is left open.
            raise Unsure
        if self.batch.on_deleted == 'skip':
            return 'skipped'
        if self.batch.on_deleted == 'error':
            self.fail('23505', 'a deleted row has the key')
            return 'error'
        if len(last) > 1:
            raise Unsure
        self.revive(last[0][:2], {column: value for column, value in given.items() if column in self.settable},
                    given.get(self.batch.version))
        return 'revived'

    def revive(self, place, given, version):
        """Brings a row back."""
        marker = self.table.marker
        if version is not None or given.get(marker.name, ALIVE[marker.kind.sql]) != ALIVE[marker.kind.sql]:
            raise Unsure
        self.update(place, {**given, marker.name: ALIVE[marker.kind.sql]})

    # The SQL

    def column(self, column):
        """The column of a name."""
        return self.table.column(column)

    def insert(self, row):
        """A plain INSERT."""
        columns = ', '.join(self.column(column).sql for column in row)
        values = ', '.join(literal(value) for value in row.values())
        self.tell(f'INSERT INTO {self.target} AS t ({columns}) VALUES ({values})' if row
                  else f'INSERT INTO {self.target} AS t DEFAULT VALUES')

    def update(self, place, given):
        """A plain UPDATE."""
        items = [f'{self.column(column).sql} = {literal(value)}' for column, value in given.items()]
        version = self.batch.version
        if version and version not in [column.name for column in self.table.stamps.values()]:
            items.append(f'{self.column(version).sql} = {self.column(version).sql} + 1')
        self.tell(f"UPDATE {self.target} AS t SET {', '.join(items)}"
                  f' WHERE {self.at(place)}')

    @staticmethod
    def at(place):
        """The condition for one row."""
        return f"t.tableoid = {place[0]} AND t.ctid = '{place[1]}'"

    def tell(self, sql):
        """Runs what writes."""
        rows = self.session.rows(f'{sql} RETURNING to_jsonb(t)::text')
        self.row = rows[0][0] if rows else None
        self.written.append(sql)


def is_true(value):
    """Whether the server said true."""
    return value in (True, 't', 'true')
